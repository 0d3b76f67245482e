"""Whoever waits for a saga to end is answered: at its end, when his time is up, or when nobody looks any more."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sagastream.endings import Endings
from tests.unit.core.world import SAGA, World, in_virtual_time


@in_virtual_time
async def test_whoever_waits_when_it_is_closed_is_sent_home() -> None:
    """A process that stops does not keep its clients until their patience is at its end."""
    world = World()
    async with Endings(bus=world.wire().bus, prefix="w:") as endings:
        waiting = asyncio.create_task(endings.wait(SAGA, timedelta(seconds=30)))
        await asyncio.sleep(5)

    assert await waiting is None
    assert world.loop.time() < 6
