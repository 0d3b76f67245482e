"""What the audit has once found stands until it is seen to be mended, or its saga is no more."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace

from sagastream import series
from sagastream.audit import Difference
from sagastream.audit.auditor import AGAIN, HOLD, Auditor
from sagastream.bus import Bus
from sagastream.coordinator.retention import Retention, kept
from sagastream.reader import Reader
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.transaction import Transactor
from tests.trip import TRIP, TripBooked
from tests.unit.audit.audits import auditor, exported
from tests.unit.audit.trips import EVERYBODY, played
from tests.unit.core.world import in_virtual_time


@in_virtual_time
async def test_a_difference_is_found_exported_and_forgotten_once_it_is_mended() -> None:
    """A saga that ends with a leftover timer is named until somebody takes the timer away."""
    trips = await played()
    watching = auditor(trips)
    await watching.round()
    async with trips.world.running(*(trips.world.consumer(each) for each in EVERYBODY), trips.world.coordinator(TRIP)):
        trips.ids["late"] = await trips.begin("late", TripBooked(nights=1))
        await trips.world.until(lambda: trips.world.status(trips.ids["late"]) == "Completed")
        trips.call("ZADD", "saga", "timers", 10**14, trips.ids["late"])
        await asyncio.sleep(30)

    await watching.round()
    found = await exported(trips, series.AUDIT_DIFFERENCES)
    trips.call("ZREM", "saga", "timers", trips.ids["late"])
    await watching.round()
    mended = await exported(trips, series.AUDIT_DIFFERENCES)

    assert {rule: count for rule, count in found.items() if count} == {"timer-while-running": 2}  # it, and the sum
    assert not any(mended.values())


@in_virtual_time
async def test_a_saga_found_wrong_is_no_difference_any_more_once_its_time_is_over() -> None:
    """What was removed as it should be is not missed."""
    trips = await played()
    watching = auditor(trips)
    trips.rewrite_history("done", trips.world.history(trips.ids["done"])[:-1])
    await watching.round()
    found = await exported(trips, series.AUDIT_DIFFERENCES)
    connection = MemoryConnection(trips.server)
    transactor = Transactor(connection, trips.world.keys, retention=trips.world.settings.ledger_retention)
    await asyncio.sleep(trips.world.settings.keep_completed.total_seconds())
    assert await Retention(Reader(connection, trips.world.keys), transactor, kept(trips.world.settings)).sweep()

    await watching.round()
    removed = await exported(trips, series.AUDIT_DIFFERENCES)

    assert any(found.values())
    assert {rule: count for rule, count in removed.items() if count} == {}


@in_virtual_time
async def test_a_record_that_was_missed_is_missed_until_it_is_back() -> None:
    """Its events or a list say that there was one; that it is in no list either says nothing else."""
    trips = await played()
    watching = auditor(trips)
    trips.call("DEL", "saga", f"record:{trips.ids['done']}")
    told = []
    for _ in range(2):
        await watching.round()
        told.append(sum((await exported(trips, series.AUDIT_DIFFERENCES)).values()))
        for index in ("all", "process:trip", "status:Completed:trip", "initiator:customer-1"):
            trips.call("ZREM", "saga", f"index:{index}", trips.ids["done"])

    assert all(told)


@in_virtual_time
async def test_what_was_mended_is_forgotten_however_much_is_wrong_for_ever() -> None:
    """Only so many known differences are looked at in a round; each has its turn."""
    trips = await played()
    watching = auditor(trips)
    await watching.round()
    lost = [Difference("begun-sagas-exist", f"saga s{n}", "a record, for it is listed", "none", f"s{n}")
            for n in range(2 * AGAIN)]  # fmt: skip
    mended = Difference("timer-while-running", "saga done", "no timer", "one", trips.ids["done"])
    for each in (*lost, mended):
        trips.call("HSET", "saga", "auditor:found", f"{each.rule}|{each.about}", json.dumps(asdict(each)))

    for _ in range(3):
        assert await watching.round()

    found = await exported(trips, series.AUDIT_DIFFERENCES)
    assert {rule: count for rule, count in found.items() if count} == {"begun-sagas-exist": len(lost)}


@in_virtual_time
async def test_what_was_found_does_not_end_because_it_cannot_be_judged_any_more() -> None:
    """Streams are trimmed after a while, and nothing was mended by that: whoever is called by it is still needed."""
    trips = await played()
    trips.forge("hotel", "RoomHeld", "done", id="another")
    await asyncio.sleep(60)
    watching = auditor(trips)
    await watching.round()
    found = await exported(trips, series.AUDIT_DIFFERENCES)
    stream = trips.world.keys.of("hotel").events("RoomHeld")
    trips.server.call("XTRIM", stream, "MINID", trips.entries(stream)[-1][0])

    await watching.round()
    trimmed = await exported(trips, series.AUDIT_DIFFERENCES)

    assert found["one-success"] == 1
    assert trimmed == found


@in_virtual_time
async def test_a_coordinator_that_does_not_know_a_table_takes_back_nothing_that_was_found_by_it() -> None:
    """While a new version is rolled out, either audits; the old one cannot tell whether it was mended."""
    trips = await played()
    trips.call("ZADD", "saga", "timers", 10**14, trips.ids["done"])
    await auditor(trips).round()
    found = await exported(trips, series.AUDIT_DIFFERENCES)
    await asyncio.sleep(HOLD.total_seconds() + 1)

    connection = MemoryConnection(trips.server)
    bus = Bus(connection, connection, connection)
    other = Auditor([replace(TRIP, version=2)], bus=bus, settings=trips.world.settings)
    await other.round()

    assert found["timer-while-running"] == 2
    assert (await exported(trips, series.AUDIT_DIFFERENCES))["timer-while-running"] == 2


@in_virtual_time
async def test_what_came_long_after_an_end_is_found_for_as_long_as_it_stands_there() -> None:
    """It was met on the way; a round later nothing leads to it, and it is wrong all the same."""
    trips = await played()
    watching = auditor(trips)
    await watching.round()
    await asyncio.sleep(3600)
    trips.forge("hotel", "RoomHeld", "done", id="another")
    await asyncio.sleep(60)

    told = []
    for _ in range(3):
        await watching.round()
        told.append((await exported(trips, series.AUDIT_DIFFERENCES))["one-success"])
    assert told == [1, 1, 1]


@in_virtual_time
async def test_what_comes_long_after_an_end_is_found_by_another_coordinator_too() -> None:
    """Whoever ended a saga long ago, and whoever audited it then: an effect that comes now is of now."""
    trips = await played()
    await auditor(trips).round()
    await asyncio.sleep(3600)
    trips.forge("hotel", "RoomHeld", "done", id="another")
    await asyncio.sleep(60)

    await auditor(trips).round()

    assert (await exported(trips, series.AUDIT_DIFFERENCES))["one-success"] == 1


@in_virtual_time
async def test_what_another_release_has_found_is_read() -> None:
    """It may say less of a difference, or more."""
    trips = await played()
    told = {"rule": "one-end", "about": "saga s", "expected": "one", "found": "two", "saga_id": "s"}
    trips.call("HSET", "saga", "auditor:found", "one-end|saga s", json.dumps(told))
    trips.call(
        "HSET", "saga", "auditor:found", "one-end|saga t", json.dumps({**told, "about": "saga t", "mood": "blue"})
    )

    assert (await exported(trips, series.AUDIT_DIFFERENCES))["one-end"] == 2
