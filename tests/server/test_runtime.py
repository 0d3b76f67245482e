"""Waiting for the end of a saga, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sagastream import Consumer, Entrance, Settings, connect
from sagastream.coordinator.tracker import Coordinator
from sagastream.endings import Endings
from sagastream.telemetry import Telemetry
from tests.trip import TRIP, TripBooked, bank, desk, hotel

PATIENCE = timedelta(seconds=10)


@pytest.fixture
async def entrance(server_url: str) -> AsyncIterator[tuple[Entrance, Endings]]:
    """Run the trip saga with everybody at work."""
    settings = Settings(key_prefix="endings:", block=timedelta(milliseconds=200))
    bus = connect(server_url, name="endings", block=settings.block)
    stop = asyncio.Event()
    workers = [Consumer(p, bus=bus, settings=settings, telemetry=Telemetry(p.name)) for p in (desk, hotel, bank)]
    coordinator = Coordinator([TRIP], bus=bus, settings=settings, telemetry=Telemetry("saga"))
    running = [asyncio.create_task(worker.run(stop)) for worker in [*workers, coordinator]]
    async with contextlib.AsyncExitStack() as stack:
        endings = await stack.enter_async_context(Endings(bus=bus, prefix=settings.key_prefix))
        await Entrance(hotel, bus=bus, settings=settings).change(lambda tx: tx.set("rooms", {"free": 1000}))
        yield Entrance(desk, bus=bus, settings=settings), endings
    stop.set()
    await asyncio.gather(*running)
    await bus.close()


async def test_everybody_who_waits_is_told_the_end(entrance: tuple[Entrance, Endings]) -> None:
    """Fifty callers of five sagas each learn how theirs ended, also the ones that ask when it is over."""
    desk_in, endings = entrance
    begun = [await desk_in.begin(TripBooked(nights=1, card=card), key=card) for card in ("good", "bad")]

    told = await asyncio.gather(*(endings.wait(saga.saga_id, PATIENCE) for saga in begun * 25))
    later = [await endings.wait(saga.saga_id, timedelta(0)) for saga in begun]

    assert told == ["Completed", "Compensated"] * 25
    assert later == ["Completed", "Compensated"]


async def test_patience_ends(entrance: tuple[Entrance, Endings]) -> None:
    """A saga nobody knows does not end, and the caller is not kept longer than asked."""
    _, endings = entrance

    assert await endings.wait("unknown", timedelta(milliseconds=20)) is None
