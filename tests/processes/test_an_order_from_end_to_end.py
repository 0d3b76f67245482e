"""The shop as `make run` starts it: one order after the other, seen from outside."""

from __future__ import annotations

import pytest

from tests.processes.dev_shop import DevShop
from tests.processes.orders import an_order

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]


async def test_the_example_order_is_completed_in_five_steps(shop_in_one: DevShop) -> None:
    """Its total is a cent more than its line, as in the contract."""
    shop = shop_in_one

    placed = await shop.place(an_order(("product-1", 2), total="299.99"))

    assert await shop.ended(placed) == ["Completed"]
    state = await shop.state(placed)
    assert state is not None
    assert [(step.service, step.status.value) for step in state.steps] == [
        ("order", "Done"),
        ("stock", "Done"),
        ("payment", "Done"),
        ("order", "Done"),
        ("notification", "Done"),
    ]
    for step in state.steps:
        assert step.started_at is not None
        assert step.ended_at is not None
        assert step.duration_ms is not None
        assert step.started_at <= step.ended_at
    assert state.completed_at is not None
    assert state.remaining_steps == []
    assert state.waiting_for is None
    assert [(call.outcome.value, call.amount_cents) for call in shop.calls(placed)] == [("charged", 29999)]
    assert shop.mails(placed) == [(1, 0)]
    assert await shop.differences() == []


@pytest.mark.parametrize("method", ["DeclinedCard", "invalid_card"])
async def test_a_refused_card_is_compensated_newest_step_first(shop_in_one: DevShop, method: str) -> None:
    shop = shop_in_one
    before = await shop.stock("product-2")

    placed = await shop.place(an_order(("product-2", 3), method=method))

    assert await shop.ended(placed) == ["Compensated"]
    state = await shop.state(placed)
    assert state is not None
    told = [note.type for note in state.history]
    story = ["PaymentFailed", "SagaCompensationStarted", "StockReleased", "OrderCancelled", "SagaCompensationCompleted"]
    assert [each for each in told if each in story] == story
    assert await shop.stock("product-2") == before
    assert sum(call.amount_cents for call in shop.calls(placed) if call.outcome.value == "charged") == 0
    assert await shop.order_status(placed) == "Cancelled"
    await shop.told_of_cancellation(placed)
    assert shop.mails(placed) == [(0, 1)]
    assert await shop.differences() == []


@pytest.mark.parametrize("line", [("sold-out-product", 1), ("product-1", 999_999)])
async def test_a_shortage_fails_and_holds_nothing(shop_in_one: DevShop, line: tuple[str, int]) -> None:
    shop = shop_in_one
    before = await shop.stock(line[0]), await shop.stock("product-4")

    placed = await shop.place(an_order(("product-4", 1), line))

    assert await shop.ended(placed) == ["Failed"]
    assert (await shop.stock(line[0]), await shop.stock("product-4")) == before
    assert shop.calls(placed) == []
    await shop.told_of_cancellation(placed)
    assert await shop.differences() == []


async def test_two_lines_of_one_product_count_together(shop_in_one: DevShop) -> None:
    """One piece is on hand: each line alone could be had, both cannot."""
    shop = shop_in_one
    put = await shop.http.put("/api/stock/store-1/last-piece", json={"quantity": 1, "unitPrice": "5.00"})
    assert put.status_code == 201, put.text

    refused = await shop.place(an_order(("last-piece", 1), ("last-piece", 1)))

    assert await shop.ended(refused) == ["Failed"]
    assert await shop.stock("last-piece") == (1, 0)
    assert await shop.ended(await shop.place(an_order(("last-piece", 1)))) == ["Completed"]
    assert await shop.stock("last-piece") == (0, 1)
    assert await shop.differences() == []
