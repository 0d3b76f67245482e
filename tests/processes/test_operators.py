"""Operators repair sagas of the real shop, with the token it made for itself."""

from __future__ import annotations

import httpx
import pytest

from sagastream.settings import Settings
from sagastream.tokens import made_token
from tests.processes.dev_shop import DevShop
from tests.processes.orders import Placed, an_order
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]


async def act(shop: DevShop, placed: Placed, act: str) -> httpx.Response:
    """Act on the saga of an order as ann."""
    token = made_token(Settings(data_dir=shop.data_dir))
    assert token is not None
    return await shop.http.post(
        f"/api/v1/sagas/{placed.saga_id}/{act}",
        json={"reason": "the customer called"},
        headers={"Authorization": f"Bearer {token.get_secret_value()}", "X-Operator": "ann"},
    )


async def test_an_operator_turns_an_order_back_while_the_provider_charges(shop_in_one: DevShop) -> None:
    """The money that may have been taken is settled, the stock is free, the customer is told."""
    shop = shop_in_one
    before = await shop.stock("product-2")
    placed = await shop.place(an_order(("product-2", 1), method="SlowProvider"))

    async def is_charging() -> bool:
        state = await shop.state(placed)
        return state is not None and state.waiting_for is not None and state.waiting_for.step == "charge payment"

    await until(is_charging, "the charge is under way")
    answer = await act(shop, placed, "compensate")

    assert (answer.status_code, answer.json()["changed"]) == (202, True)
    assert await shop.ended(placed) == ["Compensated"]
    state = await shop.state(placed)
    assert state is not None
    assert state.failure_reason == "begin: the customer called (ann)"
    assert await shop.stock("product-2") == before
    await shop.told_of_cancellation(placed)
    assert await shop.differences() == []


async def test_a_completed_order_is_not_turned_back(shop_in_one: DevShop) -> None:
    shop = shop_in_one
    placed = await shop.place(an_order(("product-2", 1)))
    assert await shop.ended(placed) == ["Completed"]

    answer = await act(shop, placed, "compensate")

    assert (answer.status_code, answer.json()["because"]) == (409, "ended")
    assert await shop.order_status(placed) == "Confirmed"


async def test_who_has_no_token_changes_nothing(shop_in_one: DevShop) -> None:
    """Asked at the base URL and at the coordinator itself."""
    shop = shop_in_one
    placed = await shop.place(an_order(("product-2", 1), method="SlowProvider"))

    answers = [
        await shop.http.post(
            f"{at}/api/v1/sagas/{placed.saga_id}/compensate", json={"reason": "why not", "actor": "eve"}
        )
        for at in ("", "/services/coordinator")
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert await shop.ended(placed) == ["Completed"]
