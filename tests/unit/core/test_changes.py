"""The change feed names every saga whose record is written or removed, by the call that does it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sagastream.keys import CHANGES, COORDINATOR
from tests.trip import TRIP
from tests.unit.core.test_coordinator import complete, names
from tests.unit.core.world import SAGA, World, in_virtual_time


def mentioned(world: World) -> list[list[str]]:
    """Return which sagas each entry of the feed names."""
    entries = world.call("XRANGE", COORDINATOR, CHANGES, "-", "+")
    assert isinstance(entries, list)
    return [str(entry[1][1]).split(" ") for entry in entries]  # type: ignore[index]  # id and fields


@in_virtual_time
async def test_every_write_of_a_record_is_in_the_feed() -> None:
    """As often as its version was raised, though events come one by one."""
    world = World(batch=1)
    complete(world, [SAGA])
    await world.work(world.coordinator(TRIP))

    told = mentioned(world)
    assert len(told) == int(world.hash(COORDINATOR, f"record:{SAGA}")["version"]) > 1
    assert told == [[SAGA]] * len(told)


@in_virtual_time
async def test_what_a_batch_writes_is_one_entry_of_the_feed() -> None:
    world = World()
    complete(world, names(30))
    await world.work(world.coordinator(TRIP))

    told = mentioned(world)
    assert len(told) < 10
    assert {saga_id for entry in told for saga_id in entry} == set(names(30))


@in_virtual_time
async def test_a_saga_that_is_removed_is_in_the_feed() -> None:
    """Or a list would show it for ever."""
    world = World(sweep_s=1800, block=timedelta(minutes=30), keep_completed=timedelta(days=7))
    complete(world, [SAGA])
    async with world.running(world.coordinator(TRIP)):
        await world.quiet()
        before = mentioned(world)
        await asyncio.sleep(timedelta(days=8).total_seconds())

    assert world.status() == ""
    assert mentioned(world) == [*before, [SAGA]]
