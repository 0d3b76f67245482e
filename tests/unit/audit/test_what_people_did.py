"""What a person did about a saga, and what was removed in time, is no difference."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sagastream.bus import Bus
from sagastream.coordinator.repair import Repairs
from sagastream.coordinator.retention import Retention
from sagastream.keys import COORDINATOR
from sagastream.reader import Reader
from sagastream.saga.attention import Effect
from sagastream.saga.lifecycle import Status
from sagastream.saga.repair import Act, Action
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.transaction import Transactor
from tests.trip import TRIP, NoRoomLeft, TripBooked, TripCancelled, bank, desk, hotel
from tests.unit.audit.trips import Trips, played
from tests.unit.core.world import in_virtual_time


def repairs(trips: Trips) -> Repairs:
    connection = MemoryConnection(trips.server)
    return Repairs([TRIP], bus=Bus(connection, connection, connection), settings=trips.world.settings)


@in_virtual_time
async def test_sagas_that_people_turned_back_resolved_and_aborted_are_sound() -> None:
    """Their word stands in the history; where it stands for an effect, ledgers cannot be compared."""
    trips = await played()
    by_hand = repairs(trips)
    workers = [trips.world.consumer(desk), trips.world.consumer(hotel), trips.world.coordinator(TRIP)]
    async with trips.world.running(*workers):
        for key in ("aborted", "resolved", "turned back"):
            trips.ids[key] = await trips.begin(key, TripBooked(nights=1))
        await asyncio.sleep(1)
        trips.call("DEL", "hotel", f"ledger:{trips.ids['resolved']}")
        await by_hand.act(trips.ids["aborted"], Action(Act.ABORT, "alice", "a test order"))
        for key in ("turned back", "resolved"):
            await by_hand.act(trips.ids[key], Action(Act.COMPENSATE, "alice", "the customer called"))
        await asyncio.sleep(600)
        async with trips.world.running(trips.world.consumer(bank)):
            await trips.world.until(lambda: trips.world.status(trips.ids["resolved"]) == Status.NEEDS_ATTENTION)
            looked_up = Action(Act.RESOLVE, "bob", "looked it up", "hold room", Effect.UNDONE, "the hotel's own list")
            await by_hand.act(trips.ids["resolved"], looked_up)
            await trips.world.until(lambda: trips.world.status(trips.ids["turned back"]) == Status.COMPENSATED)
            await asyncio.sleep(120)

    told = await trips.audited()

    ends = [trips.world.status(trips.ids[key]) for key in ("aborted", "resolved", "turned back")]
    assert ends == [Status.ABORTED, Status.COMPENSATED, Status.COMPENSATED]
    assert told.findings.differences == []
    assert told.findings.tried["ledgers-equal-records"].unknown["closed by a person"] == 2


@in_virtual_time
async def test_records_that_were_removed_in_time_are_no_difference_and_a_lost_one_is() -> None:
    """What was removed is counted; what vanished uncounted is missed."""
    trips = await played()
    world = trips.world
    async with world.running(world.coordinator(TRIP)):
        for kind in (NoRoomLeft, TripCancelled):  # its beginning was lost on its way to us
            world.tell(kind(reason="full") if kind is NoRoomLeft else kind(), "unbegun")
        await world.quiet()
    assert world.status("unbegun") == Status.FAILED
    await asyncio.sleep(10 * 86_400)
    connection = MemoryConnection(trips.server)
    keys = trips.world.keys.of(COORDINATOR)
    reader, keep = Reader(connection, keys), dict.fromkeys(Status, timedelta(days=9))
    removed = await Retention(reader, Transactor(connection, keys, retention=timedelta(days=7)), keep).sweep()
    trips.world.settings = trips.world.settings.model_copy(update={"keep_completed": timedelta(days=9)})

    sound = await trips.audited()
    trips.call("HINCRBY", "saga", "counts", "removed|trip|Completed", -1)
    lost = await trips.audited()

    assert removed == 10
    assert sound.findings.differences == []
    assert {d.rule for d in lost.findings.differences} == {"counters-equal-records"}
