"""One key, one order: repeats, twins, other bodies, and what happens when seven days have passed."""

from __future__ import annotations

import asyncio
import json
import random

import httpx
import pytest

from order_service import store
from sagastream.bus import Command

from .shop import Shop
from .test_order_requests import ORDER, USER_ORDER

PATH = "/api/orders/choreographed-saga"
KEY = {"Idempotency-Key": "one"}


async def test_the_same_key_is_the_same_order(shop: Shop, client: httpx.AsyncClient) -> None:
    """A repeated request answers the same ids; the spelling of an amount makes no difference."""
    key = {"Idempotency-Key": "k" * 255}

    first = await client.post(PATH, json=ORDER, headers=key)
    again = await client.post(PATH, json={**ORDER, "totalAmount": "299.99"}, headers=key)

    assert (first.json(), first.headers["Location"]) == (again.json(), again.headers["Location"])
    assert len(shop.published("OrderCreated")) == 1


@pytest.mark.parametrize(("path", "body"), [(PATH, ORDER), ("/api/orders", USER_ORDER)])
async def test_fifty_clients_with_one_key_place_one_order(
    shop: Shop, client: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    """Concurrent twins meet in the script; one of them places the order, all are told of it."""
    answers = await asyncio.gather(*(client.post(path, json=body, headers=KEY) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len(shop.published("OrderCreated")) == 1
    assert await shop.desk.entrance.reader.members(store.ORDERS) == [answers[0].json()["orderId"]]


@pytest.mark.parametrize(
    ("path", "body"),
    [(PATH, {**ORDER, "customerId": "customer-2"}), (PATH, {**ORDER, "email": "a@b.c"}), ("/api/orders", USER_ORDER)],
)
async def test_another_request_under_a_used_key_is_refused(
    shop: Shop, client: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    """A key is one request; anything else under it is a mistake of the client."""
    await client.post(PATH, json=ORDER, headers=KEY)

    other = await client.post(path, json=body, headers=KEY)

    assert (other.status_code, other.headers["content-type"]) == (422, "application/problem+json")
    assert len(shop.published("OrderCreated")) == 1


async def test_of_different_requests_with_one_key_at_once_one_wins(shop: Shop, client: httpx.AsyncClient) -> None:
    """Twins that differ are told so, and nothing of theirs is written."""
    bodies = [{**ORDER, "customerId": f"customer-{number}"} for number in range(10)]

    answers = await asyncio.gather(*(client.post(PATH, json=body, headers=KEY) for body in bodies))

    assert sorted(answer.status_code for answer in answers) == [202] + [422] * 9
    assert len(shop.published("OrderCreated")) == 1


@pytest.mark.parametrize("seed", range(20))
async def test_of_different_requests_with_one_key_in_two_processes_one_wins(shop: Shop, seed: int) -> None:
    """However their ways to the server lie between one another: one order, and nothing of the other is written."""
    chance = random.Random(seed)

    async def tarry(_: Command) -> None:
        for _ in range(chance.randrange(20)):
            await asyncio.sleep(0)

    shops = (shop, Shop(shop.server))
    for each in shops:
        each.connection.before = each.connection.after = tarry
    async with shop.client() as one, shops[1].client() as other:
        answers = await asyncio.gather(
            *(client.post(PATH, json={**ORDER, "customerId": f"customer-{at}"}, headers=KEY)
              for at, client in enumerate((one, other, one, other)))
        )  # fmt: skip

    (won,) = [answer.json()["orderId"] for answer in answers if answer.status_code == 202]
    assert sorted(answer.status_code for answer in answers) == [202, 422, 422, 422]
    assert await shop.desk.entrance.reader.members(store.ORDERS) == [won]
    assert [json.loads(event["data"])["orderId"] for event in shop.published("OrderCreated")] == [won]


async def test_a_repeated_request_is_told_the_present_status(shop: Shop, client: httpx.AsyncClient) -> None:
    """Whoever asks again later learns how it stands, also when the ledger has forgotten."""
    placed = (await client.post(PATH, json=ORDER, headers=KEY)).json()
    await shop.confirm(placed["orderId"], placed["sagaId"], 29999)

    again = await client.post(PATH, json=ORDER, headers=KEY)
    shop.server.call("DEL", shop.keys.key(f"ledger:{placed['sagaId']}"))
    late = await client.post(PATH, json=ORDER, headers=KEY)

    assert again.json() == late.json() == {**placed, "status": "Confirmed"}
    assert len(shop.published("OrderCreated")) == 1


async def test_a_key_is_remembered_for_seven_days(shop: Shop, client: httpx.AsyncClient) -> None:
    """Up to the last second it is the same order, and no other; after that the key is new."""
    first = await client.post(PATH, json=ORDER, headers=KEY)
    shop.let_stock_catch_up()
    shop.pass_seconds(7 * 86_400 - 1)
    last = await client.post(PATH, json=ORDER, headers=KEY)
    other = await client.post(PATH, json={**ORDER, "customerId": "customer-2"}, headers=KEY)
    shop.pass_seconds(2)

    new = await client.post(PATH, json={**ORDER, "customerId": "customer-2"}, headers=KEY)

    assert last.json() == first.json()
    assert other.status_code == 422
    assert (new.status_code, new.json()["orderId"] != first.json()["orderId"]) == (202, True)
    assert len(shop.published("OrderCreated")) == 2


async def test_what_is_asked_again_is_the_same_order_when_the_store_has_lost_it(
    shop: Shop, client: httpx.AsyncClient
) -> None:
    """As in a fail-over, or from an older copy: with the ids of the first time the provider takes the money once."""
    first = (await client.post(PATH, json=ORDER, headers=KEY)).json()
    shop.server.call("FLUSHALL")

    again = (await client.post(PATH, json=ORDER, headers=KEY)).json()
    other = (await client.post(PATH, json=ORDER, headers={"Idempotency-Key": "two"})).json()

    assert (again["orderId"], again["sagaId"]) == (first["orderId"], first["sagaId"])
    assert other["orderId"] != first["orderId"]


async def test_a_forgotten_key_does_not_place_the_same_order_again(shop: Shop, client: httpx.AsyncClient) -> None:
    """Its ledger has forgotten it as well, but the order is still there."""
    first = (await client.post(PATH, json=ORDER, headers=KEY)).json()
    await shop.confirm(first["orderId"], first["sagaId"], 29999)
    shop.let_stock_catch_up()
    shop.pass_seconds(7 * 86_400 + 1)

    again = await client.post(PATH, json=ORDER, headers=KEY)

    assert again.json() == {**first, "status": "Confirmed"}
    assert len(shop.published("OrderCreated")) == 1


async def test_a_refused_request_does_not_use_its_key_up(shop: Shop, client: httpx.AsyncClient) -> None:
    """Nothing is stored for a 4xx, so the client can mend its body and keep the key."""
    wrong = await client.post(PATH, json={**ORDER, "totalAmount": "1.00"}, headers=KEY)
    stored = shop.server.call("DBSIZE")
    mended = await client.post(PATH, json=ORDER, headers=KEY)

    assert (wrong.status_code, stored, mended.status_code) == (422, 0, 202)


async def test_the_key_itself_is_not_stored(shop: Shop, client: httpx.AsyncClient) -> None:
    """What a client makes his keys of is his own matter; only a digest of it is kept."""
    await client.post(PATH, json=ORDER, headers={"Idempotency-Key": "ann@example.org"})

    keys = shop.server.call("KEYS", "*")

    assert isinstance(keys, list)
    assert any(":request:" in str(key) for key in keys)
    assert not any("ann" in str(key) for key in keys)


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 256, "ä"])
async def test_a_key_outside_its_alphabet_is_refused(client: httpx.AsyncClient, key: str) -> None:
    """Printable ASCII without blanks, at most 255."""
    answer = await client.post(PATH, json=ORDER, headers={b"Idempotency-Key": key.encode()})

    assert answer.status_code == 422


@pytest.mark.parametrize(("path", "body"), [(PATH, ORDER), ("/api/orders", USER_ORDER)])
@pytest.mark.parametrize("second", ["two", "one"])
async def test_two_keys_are_refused(
    shop: Shop, client: httpx.AsyncClient, path: str, body: dict[str, object], second: str
) -> None:
    """Whichever of them counted, who repeats the request under the other one would order twice."""
    answer = await client.post(path, json=body, headers=[("Idempotency-Key", "one"), ("Idempotency-Key", second)])

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "Idempotency-Key" in answer.json()["detail"]
    assert shop.server.call("DBSIZE") == 0
