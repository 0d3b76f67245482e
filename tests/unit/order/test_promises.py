"""What the order service counts on is what the coordinator's table says, and bounds how far behind others may be."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from coordinator.order_saga import ORDER as TABLE
from events import OrderCreated
from order_service.promises import PROMISES, Promise, bounds
from sagastream.overload import Bound

from .shop import Shop
from .test_order_requests import ORDER, USER_ORDER

PATH = "/api/orders/choreographed-saga"
KEY = {"Idempotency-Key": "one"}


def test_the_promises_are_those_of_the_table() -> None:
    """Each step is set off by the event that says the one before it is done."""
    sets_off = [TABLE.begins_with, *(step.done for step in TABLE.steps)]
    promised = [
        Promise(step.name, step.by, after, step.within) for step, after in zip(TABLE.steps, sets_off, strict=False)
    ]

    assert list(PROMISES) == promised


def test_half_of_a_steps_time_may_be_lost_by_waiting() -> None:
    """Slower or faster with all the other deadlines."""
    assert bounds(1.0)[0] == Bound(OrderCreated, "stock", timedelta(seconds=15))
    assert bounds(0.1)[1].limit == timedelta(seconds=3)


@pytest.mark.parametrize(("path", "body"), [(PATH, ORDER), ("/api/orders", USER_ORDER)])
async def test_no_order_is_taken_while_somebody_is_too_far_behind(
    shop: Shop, client: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    """503 with the time to stay away, nothing written; as soon as he has caught up orders are taken again."""
    await client.post(path, json=body)
    shop.pass_seconds(15)
    in_time = await client.post(path, json=body)
    shop.pass_seconds(4)
    keys = shop.server.call("KEYS", "*")

    refused = await client.post(path, json=body, headers=KEY)

    assert (in_time.status_code, refused.status_code) == (202, 503)
    assert (refused.headers["Retry-After"], refused.headers["content-type"]) == ("4", "application/problem+json")
    assert "stock is 19 s behind" in refused.json()["detail"]
    assert shop.server.call("KEYS", "*") == keys
    shop.let_stock_catch_up()
    shop.pass_seconds(1)
    assert (await client.post(path, json=body, headers=KEY)).status_code == 202


async def test_an_order_that_was_taken_is_told_again_however_far_behind_somebody_is(
    shop: Shop, client: httpx.AsyncClient
) -> None:
    """A repeated request is no new order; one that cannot be taken is refused for what it is."""
    first = await client.post(PATH, json=ORDER, headers=KEY)
    shop.pass_seconds(60)

    again = await client.post(PATH, json=ORDER, headers=KEY)
    other = await client.post(PATH, json={**ORDER, "customerId": "other"}, headers=KEY)
    wrong = await client.post(PATH, json={})
    new = await client.post(PATH, json=ORDER, headers={"Idempotency-Key": "two"})

    assert (again.status_code, again.json()) == (202, first.json())
    assert [answer.status_code for answer in (other, wrong, new)] == [422, 422, 503]


async def test_looking_and_cancelling_go_on_under_overload(shop: Shop, client: httpx.AsyncClient) -> None:
    """Only what is new must wait."""
    placed = (await client.post(PATH, json=ORDER)).json()
    shop.pass_seconds(60)

    shown = await client.get(f"/api/orders/{placed['orderId']}")
    cancelled = await client.post(f"/api/orders/{placed['orderId']}/cancel")

    assert (shown.status_code, cancelled.status_code) == (200, 202)
