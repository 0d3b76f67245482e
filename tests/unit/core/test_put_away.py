"""What can neither be handled nor put away as a letter is not acknowledged: it is nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from sagastream.bus import Command
from sagastream.keys import COORDINATOR
from sagastream.ledger import State
from tests.trip import TRIP, CardDeclined, RoomHeld, TripBooked
from tests.unit.core.casts import Script, hotel, with_rooms
from tests.unit.core.test_rush import some
from tests.unit.core.world import Worker, World, in_virtual_time


def shut(world: World, owner: str) -> None:
    """Let no letter of an owner be written: something else is where they belong."""
    world.call("SET", owner, "letters", "x")


def opened(world: World, owner: str) -> None:
    """Let letters be written again."""
    world.call("DEL", owner, "letters")


async def put_away_later(world: World, owner: str, worker: Worker, is_through: Callable[[], bool]) -> None:
    """Let a worker meet what it cannot put away; it goes on, and puts it away once that can be done."""
    shut(world, owner)
    async with world.running(worker):
        await world.until(is_through)
        await asyncio.sleep(100)
        assert world.unsettled(), "it is nowhere now"
        opened(world, owner)
        await world.quiet()


@in_virtual_time
async def test_what_is_no_event_stays_until_a_participant_can_put_it_away() -> None:
    """Others of its batch go on; it comes again as what a silent consumer left, and is a letter in the end."""
    world = with_rooms()
    world.append("desk", "TripBooked", {"hello": "world"})
    world.tell(TripBooked(nights=1))
    is_through = lambda: world.ledger("hotel", "hold_room").state is State.DONE  # noqa: E731  # shorter than a function
    await put_away_later(world, "hotel", world.consumer(hotel(Script())), is_through)

    (letter,) = world.letters("hotel")
    assert letter["message"]["fields"] == {"hello": "world"}


@in_virtual_time
async def test_what_a_handler_cannot_handle_stays_until_it_can_be_put_away() -> None:
    """Its attempts are used up; it is tried again all the same, and others of its batch go on."""
    world, script = World(), Script()
    world.call("HSET", "hotel", "rooms", "free", 100)

    def before(saga_id: str) -> None:
        if saga_id == "bad":
            raise RuntimeError("never")

    script.before = before
    world.tell(TripBooked(nights=1), "bad")
    world.tell(TripBooked(nights=1))
    is_through = lambda: world.ledger("hotel", "hold_room").state is State.DONE  # noqa: E731  # as above
    with capture_logs() as logged:
        await put_away_later(world, "hotel", world.consumer(hotel(script)), is_through)

    (letter,) = world.letters("hotel")
    assert letter["reason"] == "RuntimeError: never"
    assert {line["saga_id"] for line in logged if line["event"] == "event.stuck"} == {"bad"}
    assert world.ledger("hotel", "hold_room", "bad").state is State.GAVE_UP


UNKEPT: dict[str, Callable[[World], object]] = {
    "what is no event": lambda w: w.append("hotel", "RoomHeld", {"hello": "world"}),
    "poison": lambda w: w.tell(RoomHeld(nights=1, card="good"), "good", data="[" * 50_000, time="never"),
    "of a table that cannot be": lambda w: w.tell(TripBooked(nights=1), "odd", definition="a:b{c}"),
    "of a record that cannot be read": lambda w: (
        w.call("SET", COORDINATOR, "record:bad", "x"), w.tell(TripBooked(nights=1), "bad"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("unkept", UNKEPT.values(), ids=UNKEPT)
@in_virtual_time
async def test_what_the_coordinator_cannot_put_away_stays_until_it_can(unkept: Callable[[World], object]) -> None:
    """Whatever the reason is why it cannot be handled; others of its batch go on."""
    world = World()
    world.tell(TripBooked(nights=1), "good")
    unkept(world)
    await put_away_later(world, COORDINATOR, world.coordinator(TRIP), lambda: world.status("good") != "")

    assert len(world.letters(COORDINATOR)) == 1


@in_virtual_time
async def test_what_cannot_be_put_away_stays_also_where_others_are_read_while_its_part_is_stored() -> None:
    """Its part is settled once the server has answered; by then the coordinator is at the next batch."""
    world = World()
    wire = world.wire()
    is_slow = asyncio.Event()

    async def before(command: Command) -> None:
        if command[0] == "EVALSHA" and isinstance(command[-1], bytes) and b"record:" in command[-1]:
            is_slow.set()
            await asyncio.sleep(0.1)

    def declined(*sagas: str) -> None:
        for saga_id in sagas:
            world.tell(CardDeclined(reason="bad"), saga_id)

    async with world.running(world.coordinator(TRIP, wire=wire)):
        declined(*some("before"))  # a first read takes a little of each stream
        await world.quiet()
        wire.bus.writer.before = before  # type: ignore[attr-defined]  # a memory connection
        world.call("SET", COORDINATOR, "record:bad", "x")
        shut(world, COORDINATOR)
        declined("bad", *some())
        await is_slow.wait()
        declined(*some("next"))
        await asyncio.sleep(5)
        assert {world.status(saga_id) for saga_id in (*some(), *some("next"))} == {"Compensating"}
        assert world.in_hand() == 1
        opened(world, COORDINATOR)
        await world.quiet()

    (letter,) = world.letters(COORDINATOR)
    assert letter["message"]["fields"]["correlationid"] == "bad"


@in_virtual_time
async def test_what_is_parked_stays_parked_until_it_can_be_stored_or_put_away() -> None:
    """Meanwhile it is looked at now and then, not without a pause."""
    world, parked = World(), "parked:trip:2"
    newer = replace(TRIP, version=2)
    world.tell(TripBooked(nights=1), "bad", definitionversion="2")
    await world.work(world.coordinator(TRIP))
    assert world.call("XLEN", COORDINATOR, parked) == 1
    world.call("SET", COORDINATOR, "record:bad", "x")
    shut(world, COORDINATOR)
    wire = world.wire()
    async with world.running(world.coordinator(TRIP, newer, wire=wire)):
        await asyncio.sleep(100)
        assert world.call("XLEN", COORDINATOR, parked) == 1
        stores = [sent for sent in wire.commands("EVALSHA", "EVAL") if not str(sent[3]).endswith(":timers")]
        assert len(stores) < 200
        opened(world, COORDINATOR)
        await asyncio.sleep(timedelta(minutes=1).total_seconds())

    assert world.call("XLEN", COORDINATOR, parked) == 0
    assert len(world.letters(COORDINATOR)) == 1


@in_virtual_time
async def test_what_cannot_be_put_away_is_tried_at_the_pace_of_what_is_left_behind() -> None:
    """Its handler may call outside each time: nobody there is to be called without a pause."""
    world, tries = World(), list[float]()
    world.call("HSET", "hotel", "rooms", "free", 100)
    script = Script()

    def before(saga_id: str) -> None:
        tries.append(world.loop.time())
        raise RuntimeError("never")

    script.before = before
    world.tell(TripBooked(nights=1))
    await put_away_later(world, "hotel", world.consumer(hotel(script)), lambda: len(tries) >= 3)

    assert len(tries) < 20
