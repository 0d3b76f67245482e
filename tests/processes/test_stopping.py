"""A worker that is told to stop does so at once, says nothing of errors and leaves nothing undone."""

from __future__ import annotations

import pytest

from tests.processes.crew import COORDINATOR, NOTIFICATION, ORDER, PAYMENT, STOCK, Crew
from tests.processes.orders import an_order

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]


async def test_a_coordinator_told_to_stop_in_the_middle_of_a_sweep_ends_quietly(shop: Crew) -> None:
    before = shop.errors(COORDINATOR)
    sweep = shop.wire.set(COORDINATOR, b"EVALSHA", b":timers", holds=True)
    await sweep.caught()

    assert await shop.end(COORDINATOR) == 0

    assert shop.errors(COORDINATOR) == before


async def test_workers_told_to_stop_in_the_middle_of_orders_leave_nothing_undone(shop: Crew) -> None:
    workers = (STOCK, PAYMENT, ORDER, NOTIFICATION)
    before = {who: shop.errors(who) for who in workers}
    placed = [await shop.place(an_order(("product-3", 1))) for _ in range(20)]

    assert [await shop.end(who) for who in workers] == [0, 0, 0, 0]
    await shop.start(*workers)

    assert set(await shop.ended(*placed)) <= {"Completed", "Compensated", "Failed"}
    assert {who: shop.errors(who) for who in workers} == before
    assert await shop.differences() == []
