"""A deadline fires once, on time, and never before everything published by then has been read.

It is long because every party that can hold a deadline back does so once, with the same helpers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from sagastream.bus import Command
from sagastream.coordinator import deadlines, tracker
from sagastream.event import SagaNeedsAttention, StepBarred
from sagastream.keys import COORDINATOR
from sagastream.saga.advance import Advance
from sagastream.saga.definition import Saga
from sagastream.saga.progress import Progress
from tests.trip import TRIP, CardCharged, RoomHeld, TripBooked, TripConfirmed, bank, desk, hotel
from tests.unit.core.casts import with_rooms
from tests.unit.core.test_coordinator import complete, names
from tests.unit.core.world import SAGA, Wire, World, in_virtual_time, meanwhile

BAR = ["BarRequested TripConfirmed"]


def overdue(world: World, saga_id: str = SAGA) -> list[int]:
    """Return the instants at which steps of a saga became overdue."""
    return [line["at"] for line in world.history(saga_id) if line["type"] == "StepOverdue"]


@in_virtual_time
async def test_a_step_that_is_not_heard_of_in_time_asks_for_the_bar() -> None:
    """Thirty seconds after the step before it, at the next sweep, and once."""
    world = World()
    async with world.running(world.coordinator(TRIP, ordinal=1), world.coordinator(TRIP, ordinal=2)):
        world.tell(TripBooked(nights=1))
        await asyncio.sleep(29.9)
        assert world.requests("desk") == []
        await asyncio.sleep(0.2)
        assert world.requests("desk") == BAR
        await asyncio.sleep(30)

    assert len(overdue(world)) == 1
    assert world.counts()["timeouts|trip|hold room"] == 1
    assert world.requests("hotel") == world.requests("bank") == []


@in_virtual_time
async def test_a_coordinator_that_was_away_turns_back_nothing_that_was_done() -> None:
    """A thousand sagas ended and every deadline passed while nobody looked; all are completed, none was overdue."""
    world = World(sweep_s=0.5)
    await world.work(world.coordinator(TRIP))
    complete(world, names(1000))
    await asyncio.sleep(3600)
    async with world.running(world.coordinator(TRIP)):
        await world.quiet()
        await asyncio.sleep(60)

    assert {world.status(saga_id) for saga_id in names(1000)} == {"Completed"}
    assert world.requests("desk") == []
    assert not any("timeouts" in name for name in world.counts())


@in_virtual_time
async def test_a_stream_of_which_nothing_is_left_holds_no_deadline_back() -> None:
    """Its entries were trimmed before this group ever was: there is nothing to read, and nothing to wait for."""
    world = World()
    for saga_id in ("old-1", "old-2"):
        world.tell(CardCharged(nights=1), saga_id)
    world.call("XTRIM", "bank", "events:CardCharged", "MAXLEN", 0)
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1))
        await asyncio.sleep(31)

        assert world.requests("desk") == BAR


@in_virtual_time
async def test_a_deadline_waits_for_what_another_coordinator_has_read_and_not_stored() -> None:
    """One coordinator is frozen with the confirmation in its hands; the other fires nothing until it is settled."""
    world, thaw = World(sweep_s=0.5, claim_idle=timedelta(seconds=600)), asyncio.Event()
    frozen = world.wire()
    async with world.running(world.coordinator(TRIP, ordinal=1)):
        for event in (TripBooked(nights=1), RoomHeld(nights=1, card="good"), CardCharged(nights=1)):
            world.tell(event)
        await world.quiet()
    _hold(frozen, thaw, "EVAL", "EVALSHA")
    reading = world.coordinator(TRIP, wire=frozen, ordinal=2)
    stop = asyncio.Event()
    task = asyncio.create_task(reading._loop.run(stop))
    await asyncio.sleep(0.1)
    world.tell(TripConfirmed())
    await asyncio.sleep(0.1)
    other = world.coordinator(TRIP, ordinal=1)
    async with world.running(other):
        await asyncio.sleep(120)
        assert world.requests("desk") == []
        assert other.describe()["deadlinesHeldBackBy"] == "w:{desk}:events:TripConfirmed"
        thaw.set()
        await world.quiet()
    stop.set()
    await task

    assert world.status() == "Completed"


@in_virtual_time
async def test_what_holds_a_deadline_back_is_told_though_another_coordinators_saga_is_overdue() -> None:
    """That one waits for a release that is not there; what is held back here, and by what, is not hidden by it."""
    world = World(claim_idle=timedelta(seconds=600))
    world.tell(TripBooked(nights=1), "of-another", definitionversion="2")
    await world.work(world.coordinator(replace(TRIP, version=2)))
    await asyncio.sleep(10)
    world.tell(TripBooked(nights=1))
    await world.work(world.coordinator(TRIP))
    await asyncio.sleep(25)
    world.tell(RoomHeld(nights=1, card="good"))
    stream = "w:{hotel}:events:RoomHeld"
    world.server.call("XREADGROUP", "GROUP", "saga", "frozen", "STREAMS", stream, ">")

    coordinator = world.coordinator(TRIP)
    async with world.running(coordinator):
        await asyncio.sleep(3)
        assert coordinator.describe()["deadlinesHeldBackBy"] is None, "nothing of ours is overdue yet"
        await asyncio.sleep(5)
        assert coordinator.describe()["deadlinesHeldBackBy"] == stream

    assert world.requests("desk") == []


@in_virtual_time
async def test_what_was_held_back_is_told_as_soon_as_nothing_holds_it_back() -> None:
    """Not only with the next sweep, which comes up to 25 ms later."""
    world, thaw = World(claim_idle=timedelta(seconds=600)), asyncio.Event()
    frozen = world.wire()
    _hold(frozen, thaw, "EVAL", "EVALSHA")
    stop = asyncio.Event()
    async with world.running(world.coordinator(TRIP, ordinal=1)):
        world.tell(TripBooked(nights=1), "overdue")
        await world.quiet()
    task = asyncio.create_task(world.coordinator(TRIP, wire=frozen, ordinal=2)._loop.run(stop))
    due_ms = float(str(world.call("ZSCORE", COORDINATOR, "timers", "overdue")))
    await asyncio.sleep((due_ms - world.now_ms()) / 1000 - 0.1)
    world.tell(TripBooked(nights=1), "another")
    await asyncio.sleep(0.05)
    sweeping = asyncio.create_task(world.coordinator(TRIP, ordinal=1).deadlines.sweep_safely())
    await asyncio.sleep(0.06)
    assert sweeping.done(), "nothing is due yet"

    sweeping = asyncio.create_task(world.coordinator(TRIP, ordinal=1).deadlines.sweep_safely())
    await asyncio.sleep(0.007)
    assert not any(line["type"] == "StepOverdue" for line in world.history("overdue"))
    thaw.set()
    await asyncio.sleep(0.006)

    assert any(line["type"] == "StepOverdue" for line in world.history("overdue"))
    await sweeping
    stop.set()
    await task


@in_virtual_time
async def test_a_deadline_that_is_held_back_lets_the_reader_read_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would linger twice for more to come: before it reads what is unread, and before it acknowledges that."""
    monkeypatch.setattr(tracker, "LINGER", timedelta(milliseconds=100))
    world = World(sweep_s=60, block=timedelta(seconds=60), claim_idle=timedelta(seconds=600))
    coordinator = world.coordinator(TRIP)
    async with world.running(coordinator):
        world.tell(TripBooked(nights=1), "overdue")
        await world.quiet()
        due_ms = int(float(str(world.call("ZSCORE", COORDINATOR, "timers", "overdue"))))
        await asyncio.sleep((due_ms - world.now_ms() - 4) / 1000)
        for several in (("read", "with-it"), ("unread", "as-well")):
            for saga_id in several:
                world.tell(TripBooked(nights=1), saga_id)
            await asyncio.sleep(0.002)
        sweeping = asyncio.create_task(coordinator.deadlines.sweep_safely())
        while not overdue(world, "overdue"):  # noqa: ASYNC110  # time is virtual
            await asyncio.sleep(0.0005)
        waited_ms = world.now_ms() - due_ms
        await sweeping

    assert waited_ms <= 5


def _hold(wire: Wire, until: asyncio.Event, *commands: str) -> None:
    async def before(command: Command) -> None:
        if command[0] in commands and b"record:" in bytes(command[-1]):  # type: ignore[arg-type]
            await until.wait()

    wire.bus.writer.before = before  # type: ignore[attr-defined]  # a memory connection


@asynccontextmanager
async def traffic(world: World, pause: float) -> AsyncIterator[None]:
    """Let sagas go forward all the time."""

    async def go_on() -> None:
        number = 0
        while True:
            complete(world, [f"traffic-{number}"])
            number += 1
            await asyncio.sleep(pause)

    async with meanwhile(go_on()):
        yield


@in_virtual_time
async def test_a_deadline_is_prompt_under_constant_traffic() -> None:
    """There is always something unread, but never anything old."""
    world = World()
    wire = world.wire()

    async def slow(command: Command) -> None:
        await asyncio.sleep(0.002)

    wire.bus.writer.before = slow  # type: ignore[attr-defined]  # a memory connection
    async with world.running(world.coordinator(TRIP, wire=wire)):
        world.tell(TripBooked(nights=1))
        await asyncio.sleep(29)
        async with traffic(world, 0.004):
            await asyncio.sleep(0.9)
            assert world.requests("desk") == []
            await world.until(lambda: world.requests("desk") == BAR, timedelta(seconds=2))
        await world.quiet()


WAYS: dict[str, Callable[[Command], bool]] = {
    "look": lambda command: command[0] == "EVALSHA" and str(command[3]).endswith(":timers"),
    "records": lambda command: command[0] == "HMGET",
    "turn": lambda command: command[0] == "EVALSHA" and b"record:" in bytes(command[-1]),  # type: ignore[arg-type]
}
"""The ways of a sweep to the server."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("when", ["on_way_there", "on_way_back"])
@in_virtual_time
async def test_a_sweep_that_dies_anywhere_loses_no_timer(way: str, when: str) -> None:
    """The next coordinator fires what the dead one had looked at, and nothing fires twice."""
    world = World()
    world.tell(TripBooked(nights=1))
    await world.work(world.coordinator(TRIP))
    await asyncio.sleep(40)
    wire = world.wire()
    setattr(wire, when, lambda command: "dead" if WAYS[way](command) else None)
    await world.until_dead(world.coordinator(TRIP, wire=wire, ordinal=2), wire)
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(10)

    assert world.requests("desk") == BAR
    assert len(overdue(world)) == 1
    assert world.counts()["timeouts|trip|hold room"] == 1


@in_virtual_time
async def test_an_event_that_comes_while_the_sweep_decides_wins_or_loses_whole() -> None:
    """The sweep has read the record when the event is stored: its write is refused and it looks again."""
    world, go = World(), asyncio.Event()
    world.tell(TripBooked(nights=1))
    await world.work(world.coordinator(TRIP))
    await asyncio.sleep(29.9)
    slow = world.wire()
    _hold(slow, go, "EVAL", "EVALSHA")
    async with world.running(world.coordinator(TRIP, wire=slow, ordinal=2)):
        await asyncio.sleep(1)
        world.server.call("XGROUP", "SETID", "w:{hotel}:events:RoomHeld", "saga", "0")
        world.tell(RoomHeld(nights=1, card="good"))
        async with world.running(world.coordinator(TRIP, ordinal=1)):
            await asyncio.sleep(40)
            go.set()
            await world.quiet()

    assert len(overdue(world)) == 1
    assert world.requests("desk") == BAR
    assert world.hash(COORDINATOR, f"record:{SAGA}")["status"] == "InProgress"


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)], ids=["forward", "back"])
@in_virtual_time
async def test_a_step_of_the_servers_clock_fires_no_deadline(step: timedelta) -> None:
    """An hour forward and, after a while, back again: what had time left has it still."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1))
        await asyncio.sleep(5)
        world.clock_step_ms = step // timedelta(milliseconds=1)
        await asyncio.sleep(2)
        world.clock_step_ms = 0
        await asyncio.sleep(10)
        assert overdue(world) == []
        world.tell(RoomHeld(nights=1, card="good"))
        world.tell(CardCharged(nights=1))
        world.tell(TripConfirmed())
        await world.quiet()

    assert world.status() == "Completed"


@in_virtual_time
async def test_deadlines_go_on_once_the_clock_has_settled() -> None:
    """A step that stays is the new time; until then it is told what holds them back."""
    world = World()
    coordinator = world.coordinator(TRIP)
    async with world.running(coordinator):
        await asyncio.sleep(1)
        world.clock_step_ms = 3_600_000
        await asyncio.sleep(1)
        world.tell(TripBooked(nights=1))
        assert coordinator.describe()["deadlinesHeldBackBy"] == "a step of the server's clock"
        await asyncio.sleep(31)
        assert coordinator.describe()["deadlinesHeldBackBy"] is None

    assert world.requests("desk") == BAR


@in_virtual_time
async def test_trouble_of_the_server_is_told_to_hold_deadlines_back_for_as_long_as_it_lasts() -> None:
    """Who asks why nothing runs out is told the server's own words, and nothing once all is well."""
    world = World()
    wire = world.wire()
    coordinator = world.coordinator(TRIP, wire=wire)
    async with world.running(coordinator):
        await asyncio.sleep(1)
        assert coordinator.describe()["deadlinesHeldBackBy"] is None
        wire.refuse_all()
        await asyncio.sleep(1)
        assert coordinator.describe()["deadlinesHeldBackBy"] == "lost on its way"
        wire.heal()
        await asyncio.sleep(10)
        assert coordinator.describe()["deadlinesHeldBackBy"] is None


@in_virtual_time
async def test_a_saga_that_begins_later_and_runs_out_sooner_is_not_kept_waiting_for_an_earlier_one() -> None:
    """The earlier one has two minutes for its next step, and was all there was when the sweep looked."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1), "earlier")
        world.tell(RoomHeld(nights=1, card="good"), "earlier")
        await asyncio.sleep(1)
        world.tell(TripBooked(nights=1))
        await asyncio.sleep(30.2)

    assert world.requests("desk") == BAR
    assert overdue(world, "earlier") == []


@in_virtual_time
async def test_a_clock_that_was_put_forward_before_the_start_turns_back_truly_and_nothing_that_is_decided() -> None:
    """Who starts knows no earlier time; of what had time left the pivot's ledger judges, as of anything overdue."""
    world = with_rooms(2)
    entrance = world.entrance(desk)
    waits, confirmed = [(await entrance.begin(TripBooked(nights=1), key=key)).saga_id for key in ("one", "other")]
    await world.work(world.coordinator(TRIP), world.consumer(hotel))
    world.tell(CardCharged(nights=1), confirmed)
    async with world.running(world.consumer(desk)):
        await world.until(lambda: world.events("desk", TripConfirmed))
    world.clock_step_ms = 3_600_000

    async with world.running(world.coordinator(TRIP), world.consumer(hotel), world.consumer(desk)):
        await world.until(lambda: world.status(waits) == "Compensating")
        async with world.running(world.consumer(bank)):
            await world.until(lambda: world.status(waits) == "Compensated")

    assert world.status(confirmed) == "Completed"
    assert world.hash("hotel", "rooms") == {"free": "1"}


@in_virtual_time
async def test_a_saga_nothing_can_be_done_about_is_left_in_peace() -> None:
    """Contradicting ledgers need a person: the record is looked at once an hour, not at every sweep."""
    world = World(sweep_s=10, block=timedelta(seconds=60), claim_idle=timedelta(seconds=600))
    async with world.running(world.coordinator(TRIP)):
        for event in (TripBooked(nights=1), RoomHeld(nights=1, card="good"), CardCharged(nights=1), TripConfirmed()):
            world.tell(event)
        barred = world.fields(StepBarred(step="TripConfirmed"), SAGA, "barred-1")
        world.append("desk", "StepBarred", barred)
        await world.quiet()
        before = int(world.hash(COORDINATOR, f"record:{SAGA}")["version"])
        await asyncio.sleep(3 * 3600)
        after = int(world.hash(COORDINATOR, f"record:{SAGA}")["version"])

    assert world.status() == "NeedsAttention"
    assert after - before <= 3
    assert len(world.events(COORDINATOR, SagaNeedsAttention)) == 1


@in_virtual_time
async def test_a_crowd_of_deadlines_is_served_at_once_and_broken_records_do_not_stand_in_the_way() -> None:
    """Five hundred due together, behind three hundred timers whose records cannot be read."""
    world = World()
    for number in range(300):
        world.call("SET", COORDINATOR, f"record:broken-{number}", "x")
        world.call("ZADD", COORDINATOR, "timers", number, f"broken-{number}")
    for saga_id in names(500):
        world.tell(TripBooked(nights=1), saga_id)
    world.sweep_s = 0.25
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(31)

    assert len(world.requests("desk")) == 500


@in_virtual_time
async def test_an_error_nobody_foresaw_holds_no_other_deadline_back() -> None:
    """Nor is it met again at every sweep."""
    world, right, met = World(), deadlines.tick, []

    def wrong(saga: Saga, progress: Progress, *, now_ms: int) -> Advance:
        if progress.saga_id == "bad":
            met.append(now_ms)
            raise ZeroDivisionError("nobody foresaw this")
        return right(saga, progress, now_ms=now_ms)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadlines, "tick", wrong)
        async with world.running(world.coordinator(TRIP)):
            world.tell(TripBooked(nights=1), "bad")
            world.tell(TripBooked(nights=1))
            await asyncio.sleep(31)
            assert world.requests("desk") == BAR
            await asyncio.sleep(600)

    assert len(met) == 1


@in_virtual_time
async def test_a_turn_that_can_never_be_stored_is_told_and_not_tried_at_every_look() -> None:
    """Somebody wrote over the history of a saga."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1), "bad")
        await world.quiet()
    world.call("DEL", COORDINATOR, "history:bad")
    world.call("SET", COORDINATOR, "history:bad", "x")
    with capture_logs() as logged:
        async with world.running(world.coordinator(TRIP)):
            world.tell(TripBooked(nights=1))
            await asyncio.sleep(31)
            assert world.requests("desk") == BAR

    told = [line for line in logged if line["event"] == "saga.cannot_be_advanced"]
    assert [(line["saga_id"], line["error"][:9]) for line in told] == [("bad", "malformed")]


@in_virtual_time
async def test_a_timer_without_a_record_is_dropped() -> None:
    """The record's retention is over; nothing is left to look at."""
    world = World()
    world.call("ZADD", COORDINATOR, "timers", 1, "gone")
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(1)

    assert world.call("ZCARD", COORDINATOR, "timers") == 0


@in_virtual_time
async def test_a_timer_whose_record_comes_while_it_is_dropped_stays() -> None:
    """Another coordinator stores the saga between the look and the write; without its timer it would hang."""
    world = World()
    world.call("ZADD", COORDINATOR, "timers", 1, "late")
    wire = world.wire()

    def stored_before(command: Command) -> None:
        if "record:late" in repr(command) and str(command[0]).startswith("EVAL"):
            world.call("HSET", COORDINATOR, "record:late", "version", 1)

    wire.on_way_there = stored_before
    async with world.running(world.coordinator(TRIP, wire=wire)):
        await asyncio.sleep(1)

    assert world.call("HGET", COORDINATOR, "record:late", "version") == "1"
    assert world.call("ZCARD", COORDINATOR, "timers") == 1
