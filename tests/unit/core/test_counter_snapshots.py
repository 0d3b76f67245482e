"""Snapshots of the counters: taken once per period by however many coordinators, true about their instants, bounded."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from structlog.testing import capture_logs

from sagastream.bus import Command
from sagastream.coordinator.counts import Counts
from sagastream.coordinator.figures import Figures
from sagastream.coordinator.snapshots import PACES, Snapshot, Snapshots, snapshot_before
from sagastream.coordinator.statistics import StatisticsView, statistics_since
from sagastream.keys import COORDINATOR
from sagastream.reader import Reader
from sagastream.transaction import Transactor
from tests.trip import (
    TRIP,
    CardCharged,
    CardDeclined,
    RoomGivenBack,
    RoomHeld,
    TripBooked,
    TripCancelled,
    TripConfirmed,
)
from tests.unit.core.world import Wire, World, in_virtual_time

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FORWARD = (TripBooked(nights=2), RoomHeld(nights=2, card="good"), CardCharged(nights=2), TripConfirmed())


def forward(world: World, saga_id: str) -> None:
    """Append everything of a saga that goes forward to its end."""
    for event in FORWARD:
        world.tell(event, saga_id)


def keeper(world: World, wire: Wire | None = None) -> Snapshots:
    """Return what takes the snapshots of one coordinator, not running."""
    bus = (wire or world.wire()).bus
    transactor = Transactor(bus.writer, world.keys, retention=DAY)
    return Snapshots(bus.query, Reader(bus.query, world.keys), transactor)


async def over(world: World, window: timedelta) -> StatisticsView:
    """Return the statistics over a window, as the route does."""
    figures = Figures([TRIP], bus=world.wire().bus, settings=world.settings)
    fleet = await figures.fleet()
    return statistics_since(fleet, await figures.before(fleet.now_ms - ms(window)), [TRIP])


async def before(world: World, at_ms: int) -> Snapshot:
    """Return the snapshot that tells about an instant."""
    found = await snapshot_before(world.wire().bus.query, world.keys, at_ms)
    assert found is not None
    return found


def ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def kept(world: World) -> list[object]:
    """Return how many snapshots there are at each pace."""
    return [world.call("XLEN", COORDINATOR, f"snapshots:{pace.name}") for pace in PACES]


async def taken(world: World, pace: str) -> list[int]:
    """Return in which minutes snapshots were taken."""
    entries = world.call("XRANGE", COORDINATOR, f"snapshots:{pace}", "-", "+")
    assert isinstance(entries, list)
    return [int(str(entry[0]).partition("-")[0]) // 60_000 for entry in entries if isinstance(entry, list)]


@in_virtual_time
async def test_a_window_tells_what_happened_in_it_and_nothing_else() -> None:
    """Counts, rates, durations and steps are those of the window; what is unfinished is as of now."""
    world = World(sweep_s=1)
    async with world.running(world.coordinator(TRIP)):
        for saga_id in ("one", "two", "three"):
            forward(world, saga_id)
        await world.quiet()
        await asyncio.sleep(30 * 60)
        forward(world, "four")
        for event in (TripBooked(nights=2), RoomHeld(nights=2, card="bad"), CardDeclined(reason="bad")):
            world.tell(event, "five")
        await world.quiet()
        for undone in (RoomGivenBack(), TripCancelled()):
            world.tell(undone, "five")
        world.tell(TripBooked(nights=2), "six")
        await world.quiet()

        told = await over(world, timedelta(minutes=10))
        everything = await over(world, HOUR)

    now_ms = world.now_ms()
    assert ms(timedelta(minutes=10)) <= now_ms - ms_of(told) <= ms(timedelta(minutes=11, seconds=10))
    assert (told.started, told.ended, told.turned_back, told.active) == (3, 2, 1, 1)
    assert {status: count for status, count in told.by_status.items() if count} == {
        "Completed": 1, "Compensated": 1, "Started": 1,
    }  # fmt: skip
    assert (told.success_rate, told.compensation_rate) == (0.5, 0.333333)
    assert told.duration.count == 2
    (trip,) = told.processes
    assert [(step.name, step.done, step.refused, step.undone) for step in trip.steps] == [
        ("hold room", 2, 0, 1), ("charge card", 1, 1, 0), ("confirm", 1, 0, 0),
    ]  # fmt: skip
    assert [step.duration.count for step in trip.steps] == [2, 1, 1]
    assert (everything.started, everything.ended, everything.active) == (6, 5, 1)


def ms_of(told: StatisticsView) -> int:
    assert told.from_ is not None
    return round(told.from_.timestamp() * 1000)


@in_virtual_time
async def test_a_window_longer_than_what_is_known_begins_where_that_begins() -> None:
    """A system that began ten minutes ago says so rather than claim an hour."""
    world = World(sweep_s=1)
    began_ms = world.now_ms()
    async with world.running(world.coordinator(TRIP)):
        forward(world, "one")
        await asyncio.sleep(600)
        told = await over(world, HOUR)

    assert began_ms <= ms_of(told) <= began_ms + 100
    assert told.started == 1


@in_virtual_time
async def test_where_nothing_was_ever_kept_a_window_is_empty() -> None:
    """No coordinator ran yet: from and to are one instant, and nothing happened between."""
    world = World()
    world.call("HSET", COORDINATOR, "counts", "started|trip", 7)

    told = await over(world, HOUR)

    assert (told.from_, told.started) == (told.to, 0)


@in_virtual_time
async def test_however_many_coordinators_a_period_is_kept_once() -> None:
    """They come at the same instants, each sure that nobody was there; that one was is no error."""
    world = World(sweep_s=1)
    with capture_logs() as logged:
        async with world.running(*(world.coordinator(TRIP, ordinal=n + 1) for n in range(3))):
            await asyncio.sleep(25 * 60)
    assert [line for line in logged if line["log_level"] == "error"] == []
    minutes = await taken(world, "minute")
    tens = await taken(world, "ten-minutes")

    assert minutes == sorted(set(minutes))
    assert len(minutes) in (25, 26)  # the first period had begun before
    assert len(tens) in (3, 4)


@in_virtual_time
async def test_a_window_over_an_outage_names_where_it_really_begins() -> None:
    """Nobody kept anything while no coordinator ran, so the window begins before that and says so."""
    world = World(sweep_s=1)
    async with world.running(world.coordinator(TRIP)):
        forward(world, "one")
        await asyncio.sleep(20 * 60)
    stopped_ms = world.now_ms()
    forward(world, "two")
    await asyncio.sleep(2 * 3600)
    back_ms = world.now_ms()
    async with world.running(world.coordinator(TRIP)):
        await world.quiet()
        await asyncio.sleep(30 * 60)
        in_the_outage = await over(world, HOUR)
        after_it = await over(world, timedelta(minutes=20))

    assert stopped_ms - ms(MINUTE) - 5000 <= ms_of(in_the_outage) <= stopped_ms
    assert in_the_outage.started == 1
    assert ms_of(after_it) > back_ms
    assert after_it.started == 0


@in_virtual_time
async def test_a_snapshot_is_dated_when_it_was_taken_however_long_that_took() -> None:
    """A coordinator that is frozen between looking at the clock and writing must not date back what it writes."""
    world = World()
    wire = world.wire()

    def freeze(command: Command) -> None:
        if command[0] == "EVALSHA":
            world.clock_step_ms += ms(timedelta(minutes=7))
            world.call("HINCRBY", COORDINATOR, "counts", "started|trip", 1)

    wire.on_way_there = freeze
    await keeper(world, wire).take()

    found = await before(world, world.now_ms() - ms(MINUTE))
    assert found == Snapshot(world.now_ms(), Counts({"started|trip": 1}))


@in_virtual_time
async def test_snapshots_are_bounded_however_long_coordinators_run() -> None:
    """After 40 days there are those of three hours, a day and a month, and the oldest is a month old."""
    world = World()
    snapshots = keeper(world)
    for step, until in ((HOUR, 38 * DAY), (timedelta(minutes=10), 2 * DAY - 4 * HOUR), (MINUTE, 4 * HOUR)):
        for _ in range(until // step):
            world.clock_step_ms += ms(step)
            await snapshots.take()

    assert kept(world) == [181, 157, 745]
    oldest = await before(world, 0)
    assert oldest.at_ms == world.now_ms() - ms(31 * DAY)
    for window, granularity in ((MINUTE, MINUTE), (3 * HOUR, MINUTE), (DAY, timedelta(minutes=10)), (30 * DAY, HOUR)):
        found = await before(world, world.now_ms() - ms(window))
        assert window <= timedelta(milliseconds=world.now_ms() - found.at_ms) < window + granularity


@in_virtual_time
async def test_a_server_in_trouble_costs_a_snapshot_and_nothing_else() -> None:
    """The next look takes what is due."""
    world = World()
    wire = world.wire()
    snapshots = keeper(world, wire)
    wire.refuse_all()
    await snapshots.take_safely()
    assert kept(world) == [0, 0, 0]

    wire.heal()
    wire.lose_replies("EVALSHA")
    await snapshots.take_safely()
    await snapshots.take_safely()

    assert kept(world) == [1, 1, 1]


def test_counters_that_went_back_are_not_told_as_negative() -> None:
    """A server that lost its last second counts some of it anew."""
    assert Counts({"a": 5, "b": 1}).since(Counts({"a": 3, "b": 2})).values == {"a": 2, "b": 0}
