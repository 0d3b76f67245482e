"""In a rush a saga's events are written together; nothing of that is lost, late beyond its patience, or told twice."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from sagastream.bus import Command
from sagastream.coordinator.holding import PATIENCE
from sagastream.event import Event
from sagastream.keys import COORDINATOR
from sagastream.saga.definition import Saga
from tests.trip import TRIP, CardCharged, CardDeclined, RoomHeld, TripBooked, TripConfirmed
from tests.unit.core.world import SAGA, World, in_virtual_time, meanwhile

FORWARD = (TripBooked(nights=2), RoomHeld(nights=2, card="good"), CardCharged(nights=2), TripConfirmed())
MANY = 30  # more than an eighth of a batch
PATIENCE_S = PATIENCE.total_seconds()
A_READ_S = 0.003  # more than the linger


def wave(world: World, event: Event, sagas: Iterable[str]) -> None:
    """Publish the same event of many sagas at once."""
    for saga_id in sagas:
        world.tell(event, saga_id)


def some(of: str = "saga") -> list[str]:
    """Return as many saga ids as make a rush."""
    return [f"{of}-{number}" for number in range(MANY)]


def versions(world: World, sagas: Iterable[str]) -> set[str]:
    """Return how often the records were written."""
    return {world.hash(COORDINATOR, f"record:{saga_id}").get("version", "0") for saga_id in sagas}


@asynccontextmanager
async def rush(world: World) -> AsyncIterator[None]:
    """Let so many sagas begin all the time that every read brings many messages."""

    async def go_on() -> None:
        for number in itertools.count():
            wave(world, FORWARD[0], some(f"rush-{number}"))
            await asyncio.sleep(0.001)

    async with meanwhile(go_on()):
        await asyncio.sleep(2 * A_READ_S)
        yield


@in_virtual_time
async def test_what_follows_within_a_moment_is_one_write_with_what_it_follows() -> None:
    """Four reads bring four events of each saga; the last one ends it."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        wave(world, FORWARD[0], some("before"))  # a first read takes a little of each stream
        await world.quiet()
        for event in FORWARD:
            assert {world.status(saga_id) for saga_id in some()} == {""}
            wave(world, event, some())
            await asyncio.sleep(A_READ_S)
        assert {world.status(saga_id) for saga_id in some()} == {"Completed"}
        assert versions(world, some()) == {"1"}
        assert [line["type"] for line in world.history("saga-0")][:4] == [event.type_name() for event in FORWARD]
        await world.quiet()


@in_virtual_time
async def test_where_nothing_follows_nothing_waits() -> None:
    """A single burst is in the records as soon as one more read brought nothing."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        wave(world, FORWARD[0], some("before"))
        await world.quiet()
        wave(world, FORWARD[0], some())
        await asyncio.sleep(0.001)
        assert {world.status(saga_id) for saga_id in some()} == {""}
        await asyncio.sleep(2 * A_READ_S)
        assert {world.status(saga_id) for saga_id in some()} == {"Started"}
        await world.quiet()


@in_virtual_time
async def test_nothing_waits_longer_than_its_patience() -> None:
    """However long the rush lasts."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        async with rush(world):
            world.tell(FORWARD[0])
            await asyncio.sleep(PATIENCE_S / 2)
            assert world.status() == ""
            await asyncio.sleep(PATIENCE_S / 2 + 2 * A_READ_S)
            assert world.status() == "Started"
        await world.quiet()


@in_virtual_time
async def test_a_refusal_turns_its_saga_back_at_once() -> None:
    """With what waited of it; the request to undo does not wait for the rush to be over."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        async with rush(world):
            world.tell(FORWARD[0])
            world.tell(FORWARD[1])
            await asyncio.sleep(2 * A_READ_S)
            assert world.status() == ""
            world.tell(CardDeclined(reason="no money"))
            await asyncio.sleep(2 * A_READ_S)
            assert world.status() == "Compensating"
            assert world.requests("hotel") == ["UndoRequested RoomHeld"]
            assert world.hash(COORDINATOR, f"record:{SAGA}")["version"] == "1"
        await world.quiet()


@in_virtual_time
async def test_who_is_told_to_stop_stores_what_waits() -> None:
    """Otherwise another coordinator would take it only after half a minute."""
    world, stop = World(), asyncio.Event()
    working = asyncio.create_task(world.coordinator(TRIP).run(stop))
    async with rush(world):
        assert world.in_hand() > MANY
        stop.set()
        await working
        assert world.in_hand() == 0


@in_virtual_time
async def test_what_waits_in_trouble_comes_again_and_is_told_once() -> None:
    """What was read before the server was lost may not be what it remembers afterwards: it is read again."""
    world = World(claim_idle=timedelta(hours=1))
    wire = world.wire()
    async with world.running(world.coordinator(TRIP, wire=wire)):
        async with rush(world):
            world.tell(FORWARD[0])
            await asyncio.sleep(2 * A_READ_S)
            assert world.status() == ""
            wire.refuse_all()
            await asyncio.sleep(1)
            world.server.call("DEL", world.keys.of("desk").events("TripBooked"))
            wire.heal()
        await asyncio.sleep(5)
        assert world.status() == ""  # what the server has forgotten is stored by nobody

        wave(world, FORWARD[0], some())
        await world.quiet()
        assert len(world.history("saga-0")) == 2


@in_virtual_time
async def test_what_was_parked_is_stored_before_it_is_taken_from_there() -> None:
    """However many there are: if the coordinator died in between they would be lost."""
    world, newer = World(sweep_s=60), replace(TRIP, version=2)
    for saga_id in some():
        world.tell(FORWARD[0], saga_id, definitionversion="2")
    await world.work(world.coordinator(TRIP))
    assert world.call("XLEN", COORDINATOR, "parked:trip:2") == MANY
    wire = world.wire()
    seen: list[set[str]] = []

    def look(command: Command) -> None:
        if command[0] == "XDEL":
            seen.append({world.status(saga_id) for saga_id in some()})

    wire.on_way_there = look
    await world.work(world.coordinator(TRIP, newer, wire=wire))

    assert seen
    assert set().union(*seen) == {"Started"}


@in_virtual_time
async def test_a_deadline_is_not_held_back_by_what_waits() -> None:
    """Everything up to the deadline must be in the records; so what was read by then waits no more."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(FORWARD[0])
        await world.quiet()
        due_ms = int(float(str(world.call("ZSCORE", COORDINATOR, "timers", SAGA))))
        await asyncio.sleep((due_ms - world.now_ms()) / 1000 - PATIENCE_S / 2)
        async with rush(world):
            await asyncio.sleep((due_ms - world.now_ms()) / 1000)
            assert not world.requests("hotel")
            await asyncio.sleep(0.05)
            assert any(line["type"] == "StepOverdue" for line in world.history())
        await world.quiet()


@pytest.mark.parametrize(
    ("event", "forged"),
    [(CardDeclined(reason="no money"), {"time": "yesterday"}), (FORWARD[1], {"definitionversion": "2"})],
    ids=["that makes no sense", "of a table nobody knows"],
)
@in_virtual_time
async def test_an_event_finds_the_record_of_the_saga_that_waits(event: Event, forged: dict[str, str]) -> None:
    """Without it nothing would be marked, or the event be parked for ever: so what waits is stored before."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        async with rush(world):
            world.tell(FORWARD[0])
            await asyncio.sleep(2 * A_READ_S)
            assert world.status() == ""
            world.tell(event, **forged)
            await asyncio.sleep(2 * A_READ_S)
            assert "EventPoisoned" in {line["type"] for line in world.history()}
        await world.quiet()

    assert len(world.letters(COORDINATOR)) == 1
    assert world.call("XLEN", COORDINATOR, "parked:trip:2") == 0


SHORT: dict[str, Callable[[Saga], Saga]] = {
    "of a step": lambda saga: replace(saga, steps=(replace(saga.steps[0], within=PATIENCE / 5), *saga.steps[1:])),
    "of the whole saga": lambda saga: replace(saga, within=PATIENCE / 5),
}


@pytest.mark.parametrize("short", SHORT.values(), ids=SHORT)
@in_virtual_time
async def test_where_a_deadline_is_shorter_than_the_patience_nothing_waits(short: Callable[[Saga], Saga]) -> None:
    """It would be set only when it has long run out."""
    world, hasty = World(), short(replace(TRIP, name="hasty"))
    async with world.running(world.coordinator(TRIP, hasty)):
        async with rush(world):
            world.tell(FORWARD[0], definition="hasty")
            await asyncio.sleep(PATIENCE_S / 5 + 0.05)
            assert any(line["type"] == "StepOverdue" for line in world.history())
        await world.quiet()
