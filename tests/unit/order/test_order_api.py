"""The order routes, on the in-memory server and the shipped script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import count

import httpx
import pytest
from fastapi import FastAPI

from events import OrderCreated, PaymentProcessed
from money import Currency
from order_service import handlers, store
from order_service.api import Desk, order_routes
from order_service.handlers import confirm, order
from sagastream import Bus, Entrance, Settings, Transaction
from sagastream.endings import Endings
from sagastream.keys import Keys
from sagastream.ledger import Entry, State
from sagastream.service import bare_app
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from sagastream.transaction import Transactor

from .conftest import NOW_MS
from .test_order_requests import LINE, ORDER

PATH = "/api/orders/choreographed-saga"


class Shop:
    """The order service's state, seen from behind."""

    def __init__(self) -> None:
        self.server = MemoryServer(lambda: NOW_MS)
        self.connection = MemoryConnection(self.server)
        self.settings = Settings()
        bus = Bus(self.connection, self.connection, self.connection)
        entrance = Entrance(order, bus=bus, settings=self.settings)
        numbers = count(1)
        self.desk = Desk(
            entrance, Endings(bus=bus, prefix="t:"), Currency("EUR", 2), 5, new_id=lambda: f"order-{next(numbers)}"
        )
        self.keys = Keys(self.settings.key_prefix, "order")

    def published(self, kind: str) -> list[dict[str, str]]:
        """Return the events of one type, oldest first."""
        entries = self.server.call("XRANGE", self.keys.events(kind), "-", "+")
        assert isinstance(entries, list)
        found = []
        for entry in entries:
            assert isinstance(entry, list)
            assert isinstance(entry[1], list)
            found.append(dict(zip(map(str, entry[1][::2]), map(str, entry[1][1::2]), strict=True)))
        return found

    async def confirm(self, order_id: str, saga_id: str, cents: int) -> None:
        """Commit the confirmation, ledger and all, as a consumer does."""
        tx = Transaction(self.desk.entrance.reader, saga_id=saga_id, key="", now_ms=NOW_MS)
        await confirm(PaymentProcessed(order_id=order_id, payment_id="p", amount_cents=cents, currency="EUR"), tx)
        tx.entry = Entry(saga_id, handlers.confirm.__name__, State.UNKNOWN, State.DONE)
        transactor = Transactor(self.connection, self.keys, retention=self.settings.ledger_retention)
        assert (await transactor.commit([tx])).outcomes[0].is_ok


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    def lifespan(_: FastAPI) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    app = bare_app("orders", lifespan, is_open=lambda: True, always=())
    app.include_router(order_routes(shop.desk))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        yield client


async def test_an_order_is_taken_and_its_saga_begun_in_one_commit(shop: Shop, client: httpx.AsyncClient) -> None:
    """The answer names order and saga; the event carries what the next service needs."""
    answer = await client.post(PATH, json=ORDER)

    assert answer.status_code == 202
    told = answer.json()
    assert told == {"orderId": "order-1", "sagaId": told["sagaId"], "status": "Pending"}
    assert answer.headers["Location"] == f"/api/choreographedsaga/state/{told['sagaId']}"
    (event,) = shop.published("OrderCreated")
    assert (event["correlationid"], event["subject"], event["initiatorid"]) == (
        told["sagaId"],
        "order-1",
        "customer-1",
    )
    created = OrderCreated.model_validate_json(event["data"])
    assert (created.total_cents, created.currency, created.items[0].unit_price_cents) == (29999, "EUR", 14999)


async def test_an_order_is_shown_as_it_was_taken(client: httpx.AsyncClient) -> None:
    """Amounts come back as exact decimals, the difference between total and lines as adjustment."""
    placed = (await client.post(PATH, json={**ORDER, "email": "ann@example.org"})).json()

    shown = (await client.get(f"/api/orders/{placed['orderId']}")).json()

    assert shown == {
        **{name: placed[name] for name in ("orderId", "sagaId", "status")},
        **{name: ORDER[name] for name in ("customerId", "storeId", "paymentMethod")},
        "currency": "EUR",
        "totalAmount": "299.99",
        "adjustment": "0.01",
        "items": [{"productId": "product-1", "quantity": 2, "unitPrice": "149.99", "totalPrice": "299.98"}],
        "email": "ann@example.org",
        "createdAt": "2023-11-14T22:13:20Z",
        "settledAt": None,
    }


async def test_a_body_is_taken_without_a_content_type(client: httpx.AsyncClient) -> None:
    """What `curl -d` sends is read as the JSON it is."""
    assert (await client.post(PATH, content=json.dumps(ORDER))).status_code == 202


@pytest.mark.parametrize(
    ("body", "status", "pointers"),
    [
        (b"{", 400, None),
        (b'{"totalAmount": NaN}', 400, None),
        (b'{"\\ud800": 1}', 400, None),
        (b"", 400, None),
        (b"[]", 422, ["#"]),
        (json.dumps({**ORDER, "totalAmount": "310.00"}).encode(), 422, ["#/totalAmount"]),
        (
            json.dumps({**ORDER, "items": [LINE, {**LINE, "quantity": -1}]}).encode(),
            422,
            ["#/items/1/quantity"],
        ),
        (json.dumps({**ORDER, "a/b": 1}).encode(), 422, ["#/a~1b"]),
        (json.dumps({**ORDER, "paymentMethod": "Barter"}).encode(), 422, ["#/paymentMethod"]),
        (b" " * 70_000, 413, None),
    ],
)
async def test_bad_input_is_a_problem_and_writes_nothing(
    shop: Shop, client: httpx.AsyncClient, body: bytes, status: int, pointers: list[str] | None
) -> None:
    """4xx, problem+json, the field named, and not a key in the store."""
    answer = await client.post(PATH, content=body)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    if pointers is not None:
        assert [error["pointer"] for error in answer.json()["errors"]] == pointers
    assert shop.server.call("DBSIZE") == 0


async def test_the_same_key_is_the_same_order(shop: Shop, client: httpx.AsyncClient) -> None:
    """A repeated request answers the same ids; the spelling of an amount makes no difference."""
    key = {"Idempotency-Key": "k" * 255}

    first = await client.post(PATH, json=ORDER, headers=key)
    again = await client.post(PATH, json={**ORDER, "totalAmount": "299.99"}, headers=key)

    assert (first.json(), first.headers["Location"]) == (again.json(), again.headers["Location"])
    assert len(shop.published("OrderCreated")) == 1


async def test_fifty_clients_with_one_key_place_one_order(shop: Shop, client: httpx.AsyncClient) -> None:
    """Concurrent twins meet in the script; one of them places the order, all are told of it."""
    key = {"Idempotency-Key": "one"}

    answers = await asyncio.gather(*(client.post(PATH, json=ORDER, headers=key) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len(shop.published("OrderCreated")) == 1


async def test_another_order_under_a_used_key_is_refused(shop: Shop, client: httpx.AsyncClient) -> None:
    """A key is one order; a different body under it is a mistake of the client."""
    key = {"Idempotency-Key": "one"}
    await client.post(PATH, json=ORDER, headers=key)

    other = await client.post(PATH, json={**ORDER, "customerId": "customer-2"}, headers=key)

    assert other.status_code == 422
    assert len(shop.published("OrderCreated")) == 1


async def test_a_repeated_request_is_told_the_present_status(shop: Shop, client: httpx.AsyncClient) -> None:
    """Whoever asks again later learns how it stands, also when the ledger has forgotten."""
    key = {"Idempotency-Key": "one"}
    placed = (await client.post(PATH, json=ORDER, headers=key)).json()
    await shop.confirm(placed["orderId"], placed["sagaId"], 29999)

    again = await client.post(PATH, json=ORDER, headers=key)
    shop.server.call("DEL", shop.keys.key(f"ledger:{placed['sagaId']}"))
    late = await client.post(PATH, json=ORDER, headers=key)

    assert again.json() == late.json() == {**placed, "status": "Confirmed"}
    assert len(shop.published("OrderCreated")) == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 256, "ä"])
async def test_a_key_outside_its_alphabet_is_refused(client: httpx.AsyncClient, key: str) -> None:
    """Printable ASCII without blanks, at most 255."""
    answer = await client.post(PATH, json=ORDER, headers={b"Idempotency-Key": key.encode()})

    assert answer.status_code == 422


async def test_a_pending_order_can_be_cancelled(shop: Shop, client: httpx.AsyncClient) -> None:
    """The confirmation is barred and the request published, once however often it is asked."""
    placed = (await client.post(PATH, json=ORDER)).json()
    path = f"/api/orders/{placed['orderId']}/cancel"

    first = await client.post(path, json={"reason": "too slow"})
    again = await client.post(path)

    assert (first.status_code, again.status_code, first.json()) == (202, 202, placed)
    (asked,) = shop.published("OrderCancellationRequested")
    assert json.loads(asked["data"]) == {"orderId": placed["orderId"], "reason": "too slow"}
    assert len(shop.published("StepBarred")) == 1


async def test_a_confirmed_order_cannot_be_cancelled(shop: Shop, client: httpx.AsyncClient) -> None:
    """409, and nothing is published."""
    placed = (await client.post(PATH, json=ORDER)).json()
    await shop.confirm(placed["orderId"], placed["sagaId"], 29999)

    answer = await client.post(f"/api/orders/{placed['orderId']}/cancel")

    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert shop.published("OrderCancellationRequested") == []


async def test_a_confirmation_in_the_instant_of_cancelling_wins_or_loses_everywhere(
    shop: Shop, client: httpx.AsyncClient
) -> None:
    """The order was read as Pending, then confirmed: the ledger, not the reading, decides."""
    placed = (await client.post(PATH, json=ORDER)).json()
    pending = await store.load(shop.desk.entrance.reader, placed["orderId"])
    assert pending is not None
    await shop.confirm(placed["orderId"], placed["sagaId"], 29999)

    assert not await handlers.ask_to_cancel(pending, "too late", shop.desk.entrance)
    assert shop.published("OrderCancellationRequested") == []


async def test_unknown_and_impossible_orders_are_refused(client: httpx.AsyncClient) -> None:
    """404 for an id nobody has, 422 for one nobody can have."""
    for answer in (await client.get("/api/orders/nothing"), await client.post("/api/orders/nothing/cancel")):
        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no order nothing")
    assert (await client.get("/api/orders/a:b")).status_code == 422
