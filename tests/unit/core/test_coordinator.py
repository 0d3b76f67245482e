"""Coordinators fold every event into its record once, however many of them there are and whatever comes.

It is long because whatever can come to a coordinator comes to the same trip: in order, early, torn, unknown, twice.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from sagastream.bus import Command
from sagastream.coordinator import folding, storing, tracker
from sagastream.envelope import instant
from sagastream.errors import DefinitionError, ServerUnavailable
from sagastream.event import Event, LedgerLost, SagaCompleted, SagaStarted, StepBarred, StepGaveUp
from sagastream.keys import COORDINATOR
from sagastream.saga.advance import Advance
from sagastream.saga.definition import Saga
from sagastream.saga.progress import Happening, Kind, Progress
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
from tests.unit.core.test_exported_series import Told
from tests.unit.core.world import SAGA, Wire, World, in_virtual_time

FORWARD = (TripBooked(nights=2), RoomHeld(nights=2, card="good"), CardCharged(nights=2), TripConfirmed())


def complete(world: World, sagas: Iterable[str]) -> None:
    """Append everything of sagas that go forward to their end."""
    for saga_id in sagas:
        for event in FORWARD:
            world.tell(event, saga_id, id=f"{event.type_name()}-{saga_id}")


def names(count: int) -> list[str]:
    """Return so many saga ids."""
    return [f"saga-{number}" for number in range(count)]


def indexed(world: World, *what: str) -> int:
    """Return how many sagas an index holds."""
    size = world.call("ZCARD", COORDINATOR, ":".join(("index", *what)))
    assert isinstance(size, int)
    return size


@in_virtual_time
async def test_a_saga_that_goes_forward_completes_with_its_whole_history() -> None:
    """Record, history, indexes, figures and announcements agree."""
    world = World()
    complete(world, [SAGA])
    await world.work(world.coordinator(TRIP))

    assert world.status() == "Completed"
    assert Counter(line["type"] for line in world.history()) == Counter(
        ["TripBooked", "RoomHeld", "CardCharged", "TripConfirmed", "SagaStarted", "SagaCompleted"]
    )
    assert (indexed(world, "all"), indexed(world, "process", "trip"), indexed(world, "initiator", "customer-1")) == (
        1,
        1,
        1,
    )
    assert (indexed(world, "status", "Completed", "trip"), indexed(world, "status", "Started", "trip")) == (1, 0)
    assert world.call("ZCARD", COORDINATOR, "timers") == 0
    assert len(world.events(COORDINATOR, SagaStarted)) == len(world.events(COORDINATOR, SagaCompleted)) == 1


@pytest.mark.parametrize("coordinators", [1, 2, 3])
@in_virtual_time
async def test_however_many_coordinators_every_saga_is_counted_once(coordinators: int) -> None:
    """Events of one saga are spread over them in one-event batches, so that their writes collide."""
    world = World(batch=1)
    await world.work(world.coordinator(TRIP))
    wires = [world.wire() for _ in range(coordinators)]
    acknowledged = [0] * coordinators

    for at, wire in enumerate(wires):

        async def travel(command: Command, at: int = at) -> None:
            await asyncio.sleep(0.001)  # or the first one would have read everything before the second is asked
            acknowledged[at] += command[0] == "XACK"

        wire.bus.reader.before = travel  # type: ignore[attr-defined]  # a memory connection
    complete(world, names(30))
    await world.work(*(world.coordinator(TRIP, wire=wire, ordinal=n + 1) for n, wire in enumerate(wires)))

    assert {world.status(saga_id) for saga_id in names(30)} == {"Completed"}
    assert sum(acknowledged) >= 120
    assert min(acknowledged) > 60 / coordinators
    assert world.counts() == {
        "sagas|trip": 30, "started|trip": 30, "ended|trip|Completed": 30,
        **{f"steps|trip|{step}|done": 30 for step in ("hold room", "charge card", "confirm")},
    }  # fmt: skip
    for saga_id in names(30):
        assert Counter(line["type"] for line in world.history(saga_id)).most_common(1)[0][1] == 1
    assert len(world.events(COORDINATOR, SagaCompleted)) == 30


@in_virtual_time
async def test_a_write_that_finds_another_version_is_decided_again() -> None:
    """One coordinator has loaded the record when another stores; neither fact is lost, nothing counts twice."""
    world, go = World(batch=1), asyncio.Event()
    slow = world.wire()

    async def held(command: Command) -> None:
        if command[0] in ("EVAL", "EVALSHA") and b"record:" in bytes(command[-1]):  # type: ignore[arg-type]
            await go.wait()

    slow.bus.writer.before = held  # type: ignore[attr-defined]  # a memory connection
    world.tell(FORWARD[0])
    async with world.running(world.coordinator(TRIP, wire=slow, ordinal=1)):
        await asyncio.sleep(1)
        for event in FORWARD[1:]:
            world.tell(event)
        async with world.running(world.coordinator(TRIP, ordinal=2)):
            await world.until(lambda: world.status() == "InProgress")
            await asyncio.sleep(1)
            go.set()
            await world.quiet()

    assert world.status() == "Completed"
    assert world.counts()["started|trip"] == 1
    assert world.counts()["ended|trip|Completed"] == 1


@in_virtual_time
async def test_repeated_delivery_changes_neither_figures_nor_history() -> None:
    """Each event three times in one batch, then again, then read again from the beginning."""
    world = World()
    for _ in range(3):
        complete(world, names(5))
    await world.work(world.coordinator(TRIP))
    first, history = world.counts(), world.history("saga-0")
    complete(world, names(5))
    await world.work(world.coordinator(TRIP))

    assert {k: v for k, v in world.counts().items() if k != "late"} == {k: v for k, v in first.items() if k != "late"}
    assert first["ended|trip|Completed"] == first["started|trip"] == 5
    assert world.history("saga-0") == history
    assert Counter(line["id"] for line in history).most_common(1)[0][1] == 1


@pytest.mark.parametrize("command", ["XREADGROUP", "HMGET", "EVALSHA", "XACK", "XINFO", "XGROUP", "TIME", "ZRANGE"])
@pytest.mark.parametrize("fault", ["lost", "dead"])
@in_virtual_time
async def test_figures_equal_records_wherever_a_coordinator_is_cut(command: str, fault: str) -> None:
    """Replies lost or the process dead after any command: every saga ends once and is counted once."""
    world = World(batch=3)
    await world.work(world.coordinator(TRIP))
    world.server.call("XGROUP", "DESTROY", world.keys.of("desk").events("TripBooked"), COORDINATOR)  # one to be made
    complete(world, names(6))
    for saga_id in names(3):
        world.tell(TripBooked(nights=1), f"refused-{saga_id}")
        world.tell(RoomHeld(nights=1, card="bad"), f"refused-{saga_id}")
        world.tell(CardDeclined(reason="bad"), f"refused-{saga_id}")
        world.tell(RoomGivenBack(), f"refused-{saga_id}")
        world.tell(TripCancelled(), f"refused-{saga_id}")
    wire = world.wire()
    if fault == "lost":
        wire.lose_replies(command, times=4)
    else:
        wire.die_after(command, b"record:" if command == "EVALSHA" else b"")  # not a snapshot's, taken at every start
        await world.until_dead(world.coordinator(TRIP, wire=wire), wire)
        wire = world.wire()
    await world.work(world.coordinator(TRIP, wire=wire))

    assert world.counts()["ended|trip|Completed"] == 6
    assert world.counts()["ended|trip|Compensated"] == 3
    assert world.counts()["turned_back|trip"] == 3
    assert indexed(world, "status", "Completed", "trip") == 6
    assert indexed(world, "status", "Compensated", "trip") == 3
    assert not world.letters(COORDINATOR)


@in_virtual_time
async def test_requests_go_out_newest_first_with_the_record_that_says_why() -> None:
    """The next is asked when the newer one is confirmed."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1))
        world.tell(RoomHeld(nights=1, card="bad"))
        world.tell(CardDeclined(reason="the card is bad"))
        await world.quiet()
        assert world.requests("hotel") == ["UndoRequested RoomHeld"]
        assert world.requests("desk") == world.requests("bank") == []
        world.tell(RoomGivenBack())
        await world.quiet()
        assert world.requests("desk") == ["UndoRequested TripBooked"]
        world.tell(TripCancelled())
        await world.quiet()

    assert world.status() == "Compensated"
    assert world.counts()["steps|trip|charge card|refused"] == 1


@in_virtual_time
async def test_early_facts_open_a_shell_that_the_beginning_completes() -> None:
    """Facts that arrive first are kept; nothing is asked and nothing forgotten."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(FORWARD[2])
        await world.quiet()
        assert world.status() == "InProgress"
        assert not world.events(COORDINATOR, SagaStarted)
        for event in (FORWARD[0], FORWARD[1], FORWARD[3]):
            world.tell(event)
        await world.quiet()

    assert world.status() == "Completed"
    assert len(world.events(COORDINATOR, SagaStarted)) == 1


@in_virtual_time
async def test_a_saga_whose_beginning_is_read_late_is_listed_by_when_it_began() -> None:
    """In every list that it is in, and not by the event that came first."""
    world = World()
    began_ms = world.now_ms() - 10_000
    async with world.running(world.coordinator(TRIP)):
        world.tell(FORWARD[2])
        await world.quiet()
        world.tell(FORWARD[0], time=instant(began_ms))
        await world.quiet()

    assert world.status() == "InProgress"
    lists = (("all",), ("process", "trip"), ("initiator", "customer-1"), ("status", "InProgress", "trip"))
    starts = [world.call("ZSCORE", COORDINATOR, ":".join(("index", *what)), SAGA) for what in lists]
    assert [int(str(start)) for start in starts] == [began_ms] * len(lists)


@in_virtual_time
async def test_a_saga_that_has_ended_is_looked_at_no_more() -> None:
    """While it is under way one instant is set at which to look at it; a timer left behind would fire for ever."""
    world = World()
    timers = []
    async with world.running(world.coordinator(TRIP)):
        for event in FORWARD:
            world.tell(event)
            await world.quiet()
            timers.append(world.call("ZCARD", COORDINATOR, "timers"))

    assert world.status() == "Completed"
    assert timers == [1, 1, 1, 0]


POISON = {
    "a payload that must be read and cannot": lambda w: w.tell(CardDeclined(reason="x"), "bad", data="{"),
    "a payload nested too deeply to be read": lambda w: w.tell(CardDeclined(reason="x"), "bad", data="[" * 5_000),
    "a time that is none": lambda w: w.tell(RoomHeld(nights=1, card="good"), "bad", time="2026-02-30T00:00:00Z"),
    "an unknown table": lambda w: w.tell(RoomHeld(nights=1, card="good"), "bad", definition="journey"),
    "an unknown version": lambda w: w.tell(RoomHeld(nights=1, card="good"), "bad", definitionversion="9"),
    "a library event of nonsense": lambda w: w.append(
        "hotel", "StepBarred", w.fields(StepBarred(step="x"), "bad", "x1") | {"data": '{"step":7}', "source": "hotel"}
    ),
    "no attributes": lambda w: w.append("hotel", "RoomHeld", {"correlationid": "bad"}),
}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "later"])
@pytest.mark.parametrize("what", POISON)
@in_virtual_time
async def test_poison_fences_one_saga_only(what: str, together: bool) -> None:
    """Its saga needs attention and the event is kept whole; all others of the batch complete."""
    world = World()
    coordinator = world.coordinator(TRIP)
    async with world.running(coordinator):
        await world.quiet()
        world.tell(TripBooked(nights=1), "bad")
        if not together:
            await world.quiet()
        POISON[what](world)  # type: ignore[no-untyped-call]  # a table of lambdas
        complete(world, names(3))
        await world.quiet()

    assert {world.status(saga_id) for saga_id in names(3)} == {"Completed"}
    assert world.status("bad") == "NeedsAttention"
    assert len(world.letters(COORDINATOR)) == 1


async def refused_by(data: str) -> World:
    """Let a saga be refused by these data beside three that complete: it is turned back, they are not disturbed."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1), "bad")
        world.tell(RoomHeld(nights=1, card="good"), "bad")
        world.tell(CardDeclined(reason="x"), "bad", data=data)
        complete(world, names(3))
        await world.quiet()
    assert {world.status(saga_id) for saga_id in names(3)} == {"Completed"}
    assert world.status("bad") == "Compensating"
    return world


HARDLY_KEPT = {
    "half a character": CardDeclined(reason="declined").payload().replace("declined", "declined \\ud83d"),
    "bytes that are no text": CardDeclined(reason="declined").payload().replace("declined", "declined \udcff"),
    "very much": CardDeclined(reason="declined ").payload().replace("declined ", "declined " + "字" * 30_000),
}


@pytest.mark.parametrize("data", HARDLY_KEPT.values(), ids=HARDLY_KEPT)
@in_virtual_time
async def test_a_reason_that_can_hardly_be_kept_is_kept_as_far_as_it_can_be(data: str) -> None:
    """Its saga is turned back for it, and no other is disturbed."""
    world = await refused_by(data)

    (declined,) = [note for note in world.history("bad") if note["type"] == "CardDeclined"]
    assert declined["reason"].startswith("declined")
    assert len(declined["reason"]) <= 500


@pytest.mark.parametrize("data", ['{"reason": 5}', '{"reason": null}', '["declined"]', "{}"])
@in_virtual_time
async def test_a_refusal_that_gives_no_reason_turns_its_saga_back_all_the_same(data: str) -> None:
    """That it is refused is said by what it is called; who publishes in another language may word nothing."""
    world = await refused_by(data)

    assert world.letters(COORDINATOR) == []


@in_virtual_time
async def test_what_a_participant_says_of_a_step_that_the_table_has_not_says_nothing() -> None:
    """It is acknowledged, and neither put away nor held against its saga."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1), "odd")
        barred = StepBarred(step="FlightBooked")
        world.append("hotel", "StepBarred", world.fields(barred, "odd", "x1") | {"source": "hotel"})
        await world.quiet()
        complete(world, ["odd"])
        await world.quiet()

    assert world.status("odd") == "Completed"
    assert world.letters(COORDINATOR) == []
    assert "StepBarred" not in {note["type"] for note in world.history("odd")}


@in_virtual_time
async def test_two_tables_of_one_name_and_version_are_refused() -> None:
    """By which of them a saga began nobody could tell."""
    with pytest.raises(DefinitionError, match="two tables named 'trip' of version 1"):
        World().coordinator(TRIP, TRIP)


@in_virtual_time
async def test_a_publisher_whose_name_is_no_text_is_written_down_as_it_is() -> None:
    """A history line keeps what it was told, whatever the writer of JSON makes of it."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1), "odd", source="hôtel \udcff")
        complete(world, names(3))
        await world.quiet()

    assert {world.status(saga_id) for saga_id in names(3)} == {"Completed"}
    assert world.status("odd") == "Started"
    (booked,) = [note for note in world.history("odd") if note["type"] == "TripBooked"]
    assert booked["source"] == "hôtel \udcff"


@pytest.mark.parametrize("event", [StepGaveUp, LedgerLost])
@in_virtual_time
async def test_a_participants_word_of_any_length_stops_nobody(event: type[Event]) -> None:
    world = World()
    told = {"step": "RoomHeld", "reason": "字" * 30_000}
    told |= {"undoing": False, "attempts": 3} if event is StepGaveUp else {}
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1), "bad")
        fields = world.fields(TripBooked(nights=1), "bad", "long") | {"type": event.type_name(), "source": "hotel"}
        world.append("hotel", event.type_name(), fields | {"data": json.dumps(told, ensure_ascii=False)})
        complete(world, names(3))
        await world.quiet()

    assert {world.status(saga_id) for saga_id in names(3)} == {"Completed"}
    assert world.status("bad") not in ("", "Started")


@in_virtual_time
async def test_an_error_nobody_foresaw_fences_one_saga_only() -> None:
    """A mistake of the engine itself must not take all other sagas with it, nor come back for ever."""
    world, right = World(), folding.advance

    def wrong(saga: Saga, before: Progress, happenings: Sequence[Happening], *, now_ms: int) -> Advance:
        if before.saga_id == "bad" and any(happening.kind is Kind.DONE for happening in happenings):
            raise ZeroDivisionError("nobody foresaw this")
        return right(saga, before, happenings, now_ms=now_ms)

    with pytest.MonkeyPatch.context() as patch:
        async with world.running(world.coordinator(TRIP)):
            world.tell(TripBooked(nights=1), "bad")
            await world.quiet()
            patch.setattr(folding, "advance", wrong)
            world.tell(RoomHeld(nights=1, card="good"), "bad")
            complete(world, names(3))
            await world.quiet()

    assert {world.status(saga_id) for saga_id in names(3)} == {"Completed"}
    assert world.status("bad") == "NeedsAttention"
    (letter,) = world.letters(COORDINATOR)
    assert letter["message"]["fields"]["type"] == "RoomHeld"


UNREADABLE = (
    ("SET", "x"),
    ("HSET", "version", "1", "progress", "{"),
    ("HSET", "version", "x", "progress", "{}"),
    ("HSET", "version", "1", "progress", "[]"),
    ("HSET", "version", "1", "progress", '{"facts":[],"asks":{},"announced":[]}'),
)


@pytest.mark.parametrize("record", UNREADABLE)
@in_virtual_time
async def test_a_record_that_cannot_be_read_stops_nobody_else(record: tuple[str, ...]) -> None:
    """Neither its events nor its timer hold up the others, and its events are kept."""
    world = World()
    command, *arguments = record
    world.call(command, COORDINATOR, "record:bad", *arguments)
    world.call("ZADD", COORDINATOR, "timers", 1, "bad")
    world.tell(TripBooked(nights=1), "bad")
    complete(world, names(3))
    world.tell(TripBooked(nights=1), "waits")
    async with world.running(world.coordinator(TRIP)):
        await world.quiet()
        await asyncio.sleep(40)

    assert {world.status(saga_id) for saga_id in names(3)} == {"Completed"}
    assert world.requests("desk") == ["BarRequested TripConfirmed"]
    assert len(world.letters(COORDINATOR)) == 1


@in_virtual_time
async def test_an_event_of_a_table_that_was_taken_away_does_not_stop_the_coordinator() -> None:
    """Its saga is known from before; the event waits in case the table comes back, and the others go on."""
    world = World()
    world.tell(TripBooked(nights=1), "old")
    await world.work(world.coordinator(TRIP))
    complete(world, [])
    second = replace(TRIP, version=2)
    for event in FORWARD:
        world.tell(event, "new", definitionversion="2")
    world.tell(FORWARD[1], "old")
    async with world.running(world.coordinator(second)):
        await world.quiet()

    assert world.status("new") == "Completed"
    assert world.call("XLEN", COORDINATOR, "parked:trip:1") == 1


@in_virtual_time
async def test_the_version_a_saga_began_with_governs_it() -> None:
    """By the table that a stray event names the saga would be completed; it says nothing of it, a person is told."""
    world = World()
    world.tell(TripBooked(nights=1))
    await world.work(world.coordinator(TRIP, replace(TRIP, version=2, steps=TRIP.steps[2:])))
    world.tell(TripConfirmed(), definitionversion="2")
    await world.work(world.coordinator(TRIP, replace(TRIP, version=2, steps=TRIP.steps[2:])))

    assert world.status() == "NeedsAttention"
    assert world.hash(COORDINATOR, f"record:{SAGA}")["definition_version"] == "1"
    assert [letter["reason"] for letter in world.letters(COORDINATOR)] == ["it claims to be of 'trip', version '2'"]


@in_virtual_time
async def test_an_undo_that_keeps_failing_needs_attention_and_ends_truthfully() -> None:
    """The older ones are asked meanwhile; it is asked again."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1))
        world.tell(RoomHeld(nights=1, card="bad"))
        world.tell(CardDeclined(reason="bad"))
        await world.quiet()
        gave_up = StepGaveUp(step="RoomHeld", undoing=True, reason="the lift is stuck", attempts=3)
        world.append("hotel", "StepGaveUp", world.fields(gave_up, SAGA, "gave-up-1"))
        await world.quiet()
        assert world.status() == "NeedsAttention"
        assert world.requests("desk") == ["UndoRequested TripBooked"]
        world.tell(TripCancelled())
        await asyncio.sleep(100)
        assert world.status() == "NeedsAttention"
        assert world.requests("hotel") == ["UndoRequested RoomHeld"] * 2
        world.tell(RoomGivenBack())
        await world.quiet()

    assert world.status() == "Compensated"
    assert world.counts()["undo_failed|trip|hold room"] == 1


@in_virtual_time
async def test_a_batch_of_which_one_answer_was_lost_is_read_again_only_once_the_rest_of_it_has_ended() -> None:
    """Its sagas are stored by several calls side by side: one that went on would meet its own repetition."""
    world = World(batch=5000)
    wire = world.wire()
    under_way: set[int] = set()
    lost: list[int] = []
    read_again: list[int] = []

    def stores(command: Command) -> bool:
        return command[0] == "EVALSHA" and isinstance(command[-1], bytes)

    async def before(command: Command) -> None:
        if stores(command):
            under_way.add(id(command))
            await asyncio.sleep(0.2 * len(under_way))  # longer than a pause after trouble
        elif lost and command[0] == "XREADGROUP" and command[-1] != ">":
            read_again.append(len(under_way))

    async def after(command: Command) -> None:
        under_way.discard(id(command))
        if stores(command) and not lost:
            lost.append(len(under_way))
            raise ServerUnavailable("the answer was lost")

    async with world.running(world.coordinator(TRIP, wire=wire)):
        complete(world, ["warm-up"])
        await world.quiet()
        wire.bus.writer.before, wire.bus.writer.after = before, after  # type: ignore[attr-defined]  # a memory connection
        for saga_id in names(4 * storing.TOGETHER):
            world.tell(TripBooked(nights=1), saga_id)
        await asyncio.sleep(2)

    assert lost == [3]
    assert read_again[0] == 0
    assert indexed(world, "all") == 1 + 4 * storing.TOGETHER


@in_virtual_time
async def test_what_a_batch_costs_hardly_grows_with_the_batch() -> None:
    """One read that acknowledges, and of every so many sagas that begin one script call; their records are not read.

    In a rush, as 1,000 at once are, it takes one more read to see that nothing follows.
    """
    costs = []
    for size in (1, 4 * storing.TOGETHER, 1000):
        world = World(batch=5000)
        wire = world.wire()
        coordinator = world.coordinator(TRIP, wire=wire)
        stop = asyncio.Event()
        running = asyncio.create_task(coordinator._loop.run(stop))  # without the sweep, which has a clock of its own
        await asyncio.sleep(0.1)
        complete(world, ["warm-up"])
        await world.quiet()
        calls, sent = wire.calls, len(wire.sent)
        for saga_id in names(size):
            world.tell(TripBooked(nights=1), saga_id)
        await world.quiet()
        costs.append((wire.calls - calls, Counter(str(command[0]) for command in wire.sent[sent:])))
        stop.set()
        await running
        assert indexed(world, "all") == size + 1

    assert costs[0] == (2, {"XREADGROUP": 1, "EVALSHA": 1, "XACK": 1})
    assert costs[1] == (1 + 4, {"XREADGROUP": 1, "EVALSHA": 4, "XACK": 1})
    assert costs[2] == (2 + 8, {"XREADGROUP": 2, "EVALSHA": 8, "XACK": 1})


@in_virtual_time
async def test_a_beginning_that_is_read_after_other_events_of_its_saga_is_taken_up_like_any_other() -> None:
    """It is thought that nothing is stored yet; what is there the write finds, and that is no conflict with anybody."""
    world = World()
    coordinator = world.coordinator(TRIP)
    async with world.running(coordinator):
        world.tell(RoomHeld(nights=1, card="good"))
        await world.quiet()
        world.tell(TripBooked(nights=1), id="booked")
        await world.quiet()
        world.tell(TripBooked(nights=1), id="booked")
        await world.quiet()

    assert [note["type"] for note in world.history()] == ["RoomHeld", "TripBooked", "SagaStarted"]
    assert Told(coordinator._telemetry.render())("conflicts_total", service=COORDINATOR) == 0


@in_virtual_time
async def test_an_event_that_claims_to_be_from_the_future_is_dated_by_the_server() -> None:
    """A step's deadline is counted from when it was done; a forged instant must not put it off for years."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        entry = world.tell(TripBooked(nights=1), time="2999-01-01T00:00:00.000Z")
        await world.quiet()

    assert world.history()[0]["at"] == int(entry.partition("-")[0])


@pytest.mark.parametrize("seconds", [-5, 5])
@in_virtual_time
async def test_an_answer_is_dated_by_the_earlier_of_its_own_instant_and_the_server_s(seconds: int) -> None:
    """One that is replayed was true when it was given; one from the future is not believed."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1))
        await world.quiet()
        told_ms = world.now_ms() + 1000 * seconds
        fields = world.fields(StepBarred(step="RoomHeld"), SAGA, "x1") | {"time": instant(told_ms)}
        entry = world.append("hotel", "StepBarred", fields | {"source": "hotel"})
        await world.quiet()

    (barred,) = (line for line in world.history() if line["type"] == "StepBarred")
    assert barred["at"] == min(told_ms, int(entry.partition("-")[0]))


@in_virtual_time
async def test_events_of_a_table_nobody_knows_yet_wait_for_who_does() -> None:
    """While a new version is rolled out an old coordinator reads its events; none is lost and no deadline fires."""
    world, newer = World(sweep_s=0.5), replace(TRIP, version=2)
    async with world.running(world.coordinator(TRIP)):
        for event in FORWARD[:3]:
            world.tell(event, "new", definitionversion="2")
        complete(world, ["old"])
        await world.quiet()
        assert (world.status("old"), world.status("new")) == ("Completed", "")
        async with world.running(world.coordinator(TRIP, newer, ordinal=2)):
            await world.until(lambda: world.status("new") == "InProgress")
            world.tell(FORWARD[3], "new", definitionversion="2")
            await world.until(lambda: world.status("new") == "Completed")
            await asyncio.sleep(600)

    assert world.call("XLEN", COORDINATOR, "parked:trip:2") == 0
    assert world.letters(COORDINATOR) == []
    assert world.requests("desk") == []


@in_virtual_time
async def test_an_event_of_a_known_table_about_a_saga_of_an_unknown_one_waits_for_who_knows_that() -> None:
    """A newer release began it, and judges: an event that names the older table is a stranger to it."""
    world, newer = World(), replace(TRIP, version=2)
    async with world.running(world.coordinator(newer)):
        world.tell(TripBooked(nights=1), "newer", definitionversion="2")
        await world.quiet()
    async with world.running(world.coordinator(TRIP)):
        world.tell(RoomHeld(nights=1, card="good"), "newer")
        complete(world, names(3))
        await world.quiet()
        waiting = world.call("XLEN", COORDINATOR, "parked:trip:2"), world.status("newer"), world.letters(COORDINATOR)
    async with world.running(world.coordinator(TRIP, newer)):
        await world.until(lambda: world.status("newer") == "NeedsAttention")

    assert {world.status(saga_id) for saga_id in names(3)} == {"Completed"}
    assert waiting == (1, "Started", [])
    (letter,) = world.letters(COORDINATOR)
    assert "it claims to be of 'trip', version '1'" in letter["reason"]


@in_virtual_time
async def test_an_event_of_an_unknown_table_about_a_record_that_cannot_be_read_is_put_away() -> None:
    """Nobody could ever say whose it is; all others go on."""
    world = World()
    world.call("HSET", COORDINATOR, "record:bad", "version", "1", "progress", "{")
    async with world.running(world.coordinator(TRIP)):
        world.tell(RoomHeld(nights=1, card="good"), "bad", definition="journey")
        complete(world, names(3))
        await world.quiet()

    assert {world.status(saga_id) for saga_id in names(3)} == {"Completed"}
    (letter,) = world.letters(COORDINATOR)
    assert "the record of bad cannot be read" in letter["reason"]


@in_virtual_time
async def test_deadlines_of_sagas_of_another_table_are_left_to_who_knows_it() -> None:
    """Hundreds of them neither crowd out the others nor are put off until too late."""
    world, newer = World(sweep_s=0.5), replace(TRIP, version=2)
    async with world.running(world.coordinator(TRIP, newer)):
        for saga_id in names(450):
            world.tell(TripBooked(nights=1), saga_id, definitionversion="2")
        await world.quiet()
    world.tell(TripBooked(nights=1), "old")
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(60)
    assert world.requests("desk") == ["BarRequested TripConfirmed"]
    async with world.running(world.coordinator(TRIP, newer)):
        await asyncio.sleep(5)

    assert len(world.requests("desk")) == 451


@in_virtual_time
async def test_an_event_of_a_table_that_cannot_be_is_put_away() -> None:
    """It must not make up a key of its own."""
    world = World()
    world.tell(TripBooked(nights=1), definition="a:b{c}", definitionversion="1")
    world.tell(TripBooked(nights=1), definitionversion="one")
    await world.work(world.coordinator(TRIP))

    assert len(world.letters(COORDINATOR)) == 2


@in_virtual_time
async def test_who_is_idle_waits_for_nothing_and_who_is_busy_folds_what_follows() -> None:
    """Each is stored in the millisecond it comes in; only after several at once what follows is one write together."""
    world = World()
    wire = world.wire()
    async with world.running(world.coordinator(TRIP, wire=wire)):
        await asyncio.sleep(1)
        booked, *others = FORWARD

        for event in FORWARD:
            world.tell(event, "alone")
            await asyncio.sleep(0.0005)
            assert event.type_name() in {line["type"] for line in world.history("alone")}

        world.tell(booked)
        world.tell(booked, "another")
        await asyncio.sleep(0.0005)
        assert world.status() == "Started"
        for event in others:
            world.tell(event)
            await asyncio.sleep(tracker.LINGER.total_seconds() / 5)
        assert world.status() == "Started"

        await world.quiet()
        assert world.status() == "Completed"
        assert world.hash(COORDINATOR, f"record:{SAGA}")["version"] == "2"


@in_virtual_time
async def test_who_is_told_to_stop_while_it_lingers_reads_no_more() -> None:
    """The read would wait for something new as long as reads do."""
    world, stop = World(), asyncio.Event()
    working = asyncio.create_task(world.coordinator(TRIP).run(stop))
    await asyncio.sleep(1)
    world.tell(FORWARD[0])
    world.tell(FORWARD[0], "another")
    await asyncio.sleep(0.0005)
    stop.set()
    told_at = world.loop.time()
    await working

    assert world.loop.time() - told_at < 0.1
    assert world.unsettled() == []


def looks(wire: Wire) -> int:
    """Return how often the timers were looked at."""
    return sum(str(command[3]).endswith(":timers") for command in wire.commands("EVALSHA"))


@in_virtual_time
async def test_a_timer_is_looked_for_no_more_often_than_it_can_run_out() -> None:
    """Nobody asks forty times a second about a saga that has minutes; what is due is told within one sweep."""
    world = World()
    wire = world.wire()
    async with world.running(world.coordinator(TRIP, wire=wire)):
        world.tell(FORWARD[0])
        await asyncio.sleep(1)
        before = looks(wire)
        await asyncio.sleep(10)
        assert 10 <= looks(wire) - before <= 10 * 10 + 10

        due_ms = float(str(world.call("ZSCORE", COORDINATOR, "timers", SAGA)))
        await asyncio.sleep((due_ms - world.now_ms()) / 1000 + 0.026)
        assert any(line["type"] == "StepOverdue" for line in world.history())
