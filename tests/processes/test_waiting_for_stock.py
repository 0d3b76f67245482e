"""The stock worker is away for longer than orders may wait."""

from __future__ import annotations

import pytest

from sagastream.coordinator.views import StateView
from sagastream.saga.standing import StepStatus
from tests.processes.crew import STOCK, Crew
from tests.processes.orders import Placed, an_order
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]


async def test_orders_wait_for_stock_past_their_deadline_and_end_only_once_it_is_back(shop: Crew) -> None:
    before = await shop.stock("product-4")
    shop.kill(STOCK)
    placed: list[Placed] = []

    for _ in range(8):  # each is looked at when it is new: it is overdue a moment later
        placed.append(await shop.place(an_order(("product-4", 1))))
        await is_shown(shop, placed[-1], StepStatus.WAITING)
    for each in placed:
        await is_shown(shop, each, StepStatus.UNDOING)
    await the_patience_of_the_coordinator_ends(shop, placed[0])

    assert set(await shop.statuses(placed)) == {"Compensating"}
    await shop.start(STOCK)

    assert set(await shop.ended(*placed)) <= {"Compensated", "Failed"}
    assert await shop.stock("product-4") == before
    for each in placed:
        state = await shop.state(each)
        assert state is not None
        assert state.steps[1].status in (StepStatus.UNDONE, StepStatus.BARRED)
        assert shop.calls(each) == []
    assert await shop.differences() == []


async def is_shown(shop: Crew, placed: Placed, status: StepStatus) -> StateView:
    """Wait until an order is shown as waiting for stock: who, since when and until when."""

    async def ask() -> StateView | None:
        state = await shop.state(placed)
        if state is None or state.waiting_for is None or state.steps[1].status is not status:
            return None
        return state if state.waiting_for.who == "stock" else None

    state = await until(ask, f"the order is shown as {status} for stock")
    wait = state.waiting_for
    assert wait is not None
    assert wait.step == "reserve stock"
    assert wait.until is not None
    assert wait.since < wait.until
    return state


async def the_patience_of_the_coordinator_ends(shop: Crew, placed: Placed) -> None:
    """Wait until stock has been asked a second time: time alone ends nothing."""

    async def ask() -> bool:
        state = await shop.state(placed)
        return state is not None and [note.type for note in state.history].count("UndoRequested") > 2

    await until(ask, "the undo is asked again")
