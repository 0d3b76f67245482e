"""A person cancels in the instant of confirmation: one of the two happens, and everybody agrees which."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import pytest

from tests.processes.crew import Crew
from tests.processes.orders import Placed, an_order

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
ORDERS = 100
AT_ONCE = 25
SEED = 20


@dataclass(frozen=True)
class Cancelled:
    placed: Placed
    is_granted: bool


async def test_a_cancellation_in_the_instant_of_confirmation_goes_one_way_everywhere(shop: Crew) -> None:
    loop = asyncio.get_running_loop()
    chance = random.Random(SEED)
    began = loop.time()
    await shop.ended(await shop.place(an_order(("product-3", 1))))
    usual_s = loop.time() - began

    async def race() -> Cancelled:
        placed = await shop.place(an_order(("product-3", 1)))
        await asyncio.sleep(chance.uniform(0, 2 * usual_s))  # the instant of the cancellation, not a wait
        return Cancelled(placed, await shop.cancel(placed))

    raced: list[Cancelled] = []
    for _ in range(0, ORDERS, AT_ONCE):
        raced += await asyncio.gather(*(race() for _ in range(AT_ONCE)))
    granted = [each.placed for each in raced if each.is_granted]
    too_late = [each.placed for each in raced if not each.is_granted]

    assert granted, "no cancellation came in time: the race was not run"
    assert too_late, "no cancellation came too late: the race was not run"
    assert set(await shop.ended(*granted)) <= {"Compensated", "Failed"}
    assert set(await shop.ended(*too_late)) == {"Completed"}
    await shop.told_of_cancellation(*granted)
    assert set(shop.mails(*granted)) == {(0, 1)}
    assert set(shop.mails(*too_late)) == {(1, 0)}
    assert set(await asyncio.gather(*(shop.order_status(each) for each in granted))) == {"Cancelled"}
    assert set(await asyncio.gather(*(shop.order_status(each) for each in too_late))) == {"Confirmed"}
    assert await shop.differences() == []
