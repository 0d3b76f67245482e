"""The order routes, on the in-memory server and the shipped script.

It is long because every route is asked about an order in each state that it can be in.
"""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import pytest

from events import OrderCreated
from order_service import handlers, store
from sagastream.bus import Command
from sagastream.errors import ReplyError, SagastreamError, ServerUnavailable
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.definition import BEGINNING
from sagastream.saga.progress import Fact, Happening, Kind
from tests.unit.slot import NOW_MS

from .shop import Shop
from .test_course import PAID, STOCK, coordinate
from .test_order_requests import LINE, ORDER

PATH = "/api/orders/choreographed-saga"


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
        "items": [
            {
                "productId": "product-1",
                "productName": None,
                "quantity": 2,
                "unitPrice": "149.99",
                "totalPrice": "299.98",
            }
        ],
        "email": "ann@example.org",
        "createdAt": "2023-11-14T22:13:20.000Z",
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


async def test_a_pending_order_can_be_cancelled(shop: Shop, client: httpx.AsyncClient) -> None:
    """The confirmation is barred and the request published, once however often it is asked."""
    placed = (await client.post(PATH, json=ORDER)).json()
    path = f"/api/orders/{placed['orderId']}/cancel"

    first = await client.post(path, json={"reason": "too slow"})
    again = await client.post(path)

    assert (first.status_code, again.status_code, first.json()) == (202, 202, placed)
    assert first.headers["Location"] == f"/api/choreographedsaga/state/{placed['sagaId']}"
    (asked,) = shop.published("OrderCancellationRequested")
    assert json.loads(asked["data"]) == {"orderId": placed["orderId"], "reason": "too slow"}
    assert len(shop.published("StepBarred")) == 1


async def test_a_confirmed_order_cannot_be_cancelled(shop: Shop, client: httpx.AsyncClient) -> None:
    """409, and nothing is published."""
    placed = (await client.post(PATH, json=ORDER)).json()
    await shop.confirm(placed["orderId"], placed["sagaId"], 29999)

    answer = await client.post(f"/api/orders/{placed['orderId']}/cancel")

    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert "is confirmed and cannot be cancelled" in answer.json()["detail"]
    assert shop.published("OrderCancellationRequested") == []


async def test_an_order_of_which_much_is_done_can_be_cancelled_until_it_is_confirmed(
    shop: Shop, client: httpx.AsyncClient
) -> None:
    """Stock is held and the money taken, and the coordinator knows."""
    placed = (await client.post(PATH, json=ORDER)).json()
    await coordinate(shop, placed["sagaId"], [STOCK], [PAID])

    assert (await client.post(f"/api/orders/{placed['orderId']}/cancel")).status_code == 202
    assert len(shop.published("StepBarred")) == len(shop.published("OrderCancellationRequested")) == 1


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


async def test_an_order_that_is_closed_in_the_instant_of_cancelling_is_not_called_confirmed(
    shop: Shop, client: httpx.AsyncClient
) -> None:
    """It was read as Pending, then its saga was turned back: what the customer wants has happened already."""
    placed = (await client.post(PATH, json=ORDER)).json()
    read: list[Command] = []

    async def close_once_read(command: Command) -> None:
        if command[0] == "HGETALL" and not read:
            read.append(command)
            await shop.close(placed["orderId"], placed["sagaId"])

    shop.connection.after = close_once_read
    answer = await client.post(f"/api/orders/{placed['orderId']}/cancel")

    assert (await client.get(f"/api/orders/{placed['orderId']}")).json()["status"] == "Cancelled"
    assert (answer.status_code, answer.json()) == (202, {**placed, "status": "Cancelled"})


async def test_an_order_whose_saga_is_forgotten_is_not_called_confirmed(shop: Shop, client: httpx.AsyncClient) -> None:
    """It is as open as its customer sees it; that it cannot be cancelled here is told with the true reason."""
    placed = (await client.post(PATH, json=ORDER)).json()
    shop.pass_seconds(timedelta(days=8).total_seconds())

    answer = await client.post(f"/api/orders/{placed['orderId']}/cancel")

    assert (await client.get(f"/api/orders/{placed['orderId']}")).json()["status"] == "Pending"
    assert answer.status_code == 409
    assert "is confirmed" not in answer.json()["detail"]
    assert "remembers" in answer.json()["detail"]


async def test_nobody_is_promised_the_undoing_of_an_order_whose_saga_a_person_closed(
    shop: Shop, client: httpx.AsyncClient
) -> None:
    """Nobody would do it; and barred, an order that is being paid could not even be confirmed any more."""
    placed = (await client.post(PATH, json=ORDER)).json()
    aborted = Happening(BEGINNING, Kind.ABORTED, Fact(NOW_MS + 50, "e9", "stuck for days", "ann"))
    await coordinate(shop, placed["sagaId"], [aborted])

    answer = await client.post(f"/api/orders/{placed['orderId']}/cancel")

    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert "closed by a person" in answer.json()["detail"]
    assert shop.published("StepBarred") == shop.published("OrderCancellationRequested") == []


async def test_whoever_cancels_a_cancelled_order_again_is_told_that_it_is(
    shop: Shop, client: httpx.AsyncClient
) -> None:
    """Whatever became of its saga: a person closed this one when everything but the refund was undone."""
    placed = (await client.post(PATH, json=ORDER)).json()
    await shop.close(placed["orderId"], placed["sagaId"])
    await coordinate(
        shop, placed["sagaId"], [Happening(BEGINNING, Kind.ABORTED, Fact(NOW_MS + 50, "e9", "by hand", "ann"))]
    )

    answer = await client.post(f"/api/orders/{placed['orderId']}/cancel")

    assert (answer.status_code, answer.json()) == (202, {**placed, "status": "Cancelled"})


async def test_an_order_can_be_cancelled_though_the_record_of_its_saga_cannot_be_read(
    shop: Shop, client: httpx.AsyncClient
) -> None:
    """Somebody damaged what the coordinator keeps; the customer's order is the shop's own."""
    placed = (await client.post(PATH, json=ORDER)).json()
    await coordinate(shop, placed["sagaId"])
    record = Keys(shop.settings.key_prefix, COORDINATOR).key(f"record:{placed['sagaId']}")
    shop.server.call("HSET", record, "progress", "{")

    answer = await client.post(f"/api/orders/{placed['orderId']}/cancel")

    assert answer.status_code == 202
    assert len(shop.published("StepBarred")) == len(shop.published("OrderCancellationRequested")) == 1


async def test_unknown_and_impossible_orders_are_refused(client: httpx.AsyncClient) -> None:
    """404 for an id nobody has, 422 for one nobody can have."""
    for answer in (await client.get("/api/orders/nothing"), await client.post("/api/orders/nothing/cancel")):
        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no order nothing")
    assert (await client.get("/api/orders/a:b")).status_code == 422


async def test_whoever_waits_for_a_saga_that_has_ended_is_told_at_once(shop: Shop, client: httpx.AsyncClient) -> None:
    """200 and the order as it then stands, instead of 202."""
    key = {"Idempotency-Key": "one"}
    placed = (await client.post(PATH, json=ORDER, headers=key)).json()
    await shop.confirm(placed["orderId"], placed["sagaId"], 29999)
    record = Keys(shop.settings.key_prefix, COORDINATOR).key(f"record:{placed['sagaId']}")
    shop.server.call("HSET", record, "status", "Completed")

    answer = await client.post(PATH, json=ORDER, headers=key, params={"wait": 30})

    assert (answer.status_code, answer.json()) == (200, {**placed, "status": "Confirmed"})


@pytest.mark.parametrize(
    "trouble", [ServerUnavailable("the server is gone"), ReplyError("NOPERM", "this user may not read that")]
)
async def test_an_order_that_is_placed_is_told_though_its_end_cannot_be_waited_for(
    shop: Shop, client: httpx.AsyncClient, trouble: SagastreamError
) -> None:
    """A 503 would say: try again. Whoever does so without a key would have ordered twice."""

    async def cut_off_once_placed(command: Command) -> None:
        if shop.published("OrderCreated"):
            raise trouble

    shop.connection.before = cut_off_once_placed
    answer = await client.post(PATH, json=ORDER, params={"wait": 30})

    assert (answer.status_code, answer.json()["status"]) == (202, "Pending")
    assert answer.headers["Location"] == f"/api/choreographedsaga/state/{answer.json()['sagaId']}"


async def test_a_status_of_a_later_release_is_no_end_and_no_error(shop: Shop, client: httpx.AsyncClient) -> None:
    """During a roll-out the coordinator may know more than who takes orders."""
    key = {"Idempotency-Key": "one"}
    placed = (await client.post(PATH, json=ORDER, headers=key)).json()
    record = Keys(shop.settings.key_prefix, COORDINATOR).key(f"record:{placed['sagaId']}")
    shop.server.call("HSET", record, "status", "Paused")

    answer = await client.post(PATH, json=ORDER, headers=key, params={"wait": 0.01})

    assert (answer.status_code, answer.json()) == (202, placed)


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
async def test_an_order_whose_commit_was_not_answered_is_placed_once(
    shop: Shop, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    """The answer is lost, the commit is sent again, and the script knows it: no second order, no refusal."""
    lost: list[Command] = []

    async def lose_one(command: Command) -> None:
        if str(command[0]).startswith("EVAL") and not lost:
            lost.append(command)
            raise ServerUnavailable("the answer was lost")

    await client.post(PATH, json=ORDER)  # the script is loaded
    shop.connection.after = lose_one

    answer = await client.post(PATH, json=ORDER, headers=headers)

    assert (answer.status_code, answer.json()["status"], len(lost)) == (202, "Pending", 1)
    assert len(shop.published("OrderCreated")) == 2
