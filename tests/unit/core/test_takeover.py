"""A replica that takes over may know a message and not what settled it: it is told nothing that is not so there.

The store has answered, and the acknowledgement goes out with the next read; in between the server is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from sagastream.bus import Command
from sagastream.coordinator.storing import TOGETHER
from sagastream.keys import COORDINATOR
from sagastream.ledger import State
from tests.trip import TRIP, RoomHeld, TripBooked
from tests.unit.core.casts import Script, hotel, with_rooms
from tests.unit.core.test_in_hand import Post, mail
from tests.unit.core.test_rush import rush
from tests.unit.core.world import SAGA, Wire, Worker, World, in_virtual_time

LATER = timedelta(hours=1)  # nobody else takes what is not acknowledged


def lost_as_soon_as(wire: Wire, it_is_there: Callable[[], object]) -> None:
    """Lose the server behind the answer that something was written."""

    def look(command: Command) -> None:
        if it_is_there():
            wire.refuse_all()

    wire.on_way_back = look


def is_held(world: World) -> bool:
    """Tell whether the hotel knows that it holds a room."""
    return world.ledger("hotel", "hold_room").state is State.DONE


def takes_over(world: World, owner: str, *lost: str) -> None:
    """Let a replica take over which the last writes have not reached."""
    for key in lost:
        world.call("DEL", owner, key)
    world.server.space.run_id = "another"


@in_virtual_time
async def test_what_was_stored_and_is_lost_with_its_server_is_stored_again() -> None:
    """The event was acknowledged where no record was: its saga stood still for ever, without a deadline."""
    world = World(claim_idle=LATER)
    wire = world.wire()
    async with world.running(world.coordinator(TRIP, wire=wire)):
        await world.quiet()
        lost_as_soon_as(wire, world.status)
        world.tell(TripBooked(nights=1))
        await world.until(world.status)
        await asyncio.sleep(1)
        takes_over(world, COORDINATOR, f"record:{SAGA}", f"history:{SAGA}", "timers")
        wire.heal()
        await world.quiet()

        assert world.status() == "Started"


@in_virtual_time
async def test_what_was_handled_and_is_lost_with_its_server_is_handled_again() -> None:
    """The step was acknowledged and neither done nor refused."""
    world = with_rooms(claim_idle=LATER)
    wire = world.wire()
    async with world.running(world.consumer(hotel(Script()), wire)):
        await world.quiet()
        lost_as_soon_as(wire, lambda: is_held(world))
        world.tell(TripBooked(nights=1))
        await world.until(lambda: is_held(world))
        await asyncio.sleep(1)
        takes_over(world, "hotel", f"ledger:{SAGA}", "events:RoomHeld")
        wire.heal()
        await world.quiet()

        assert is_held(world)


@pytest.mark.parametrize("name", [COORDINATOR, "hotel"])
@in_virtual_time
async def test_who_stops_in_trouble_acknowledges_nothing(name: str) -> None:
    """By then the address may lead to the replica."""
    world, stop = with_rooms(claim_idle=LATER), asyncio.Event()
    wire = world.wire()
    worker: Worker = (
        world.coordinator(TRIP, wire=wire) if name == COORDINATOR else world.consumer(hotel(Script()), wire)
    )
    working = asyncio.create_task(worker.run(stop))
    await world.quiet()
    lost_as_soon_as(wire, world.status if name == COORDINATOR else lambda: is_held(world))
    world.tell(TripBooked(nights=1))
    await asyncio.sleep(0.05)
    stop.set()
    wire.heal()
    await working

    assert world.in_hand() == 1


@in_virtual_time
async def test_who_meets_trouble_in_its_last_batch_acknowledges_none_of_it() -> None:
    """Of several parts one is lost on its way, and the others are stored where nobody may ever look again."""
    world, stop = World(claim_idle=LATER), asyncio.Event()
    wire = world.wire()
    working = asyncio.create_task(world.coordinator(TRIP, wire=wire).run(stop))
    async with rush(world):
        in_hand = world.in_hand()
        wire.lose_requests("EVALSHA")
        stop.set()
        await working

    assert in_hand > TOGETHER
    assert any(world.status(f"rush-0-{number}") for number in range(TOGETHER))
    assert world.in_hand() >= in_hand  # it may have read once more


@in_virtual_time
async def test_who_stops_in_trouble_acknowledges_nothing_once_its_calls_have_ended_either() -> None:
    """What the last of them led to is stored there; what an earlier one did may not be."""
    world, post, stop = World(claim_idle=LATER), Post(each_s=2), asyncio.Event()
    wire = world.wire()
    working = asyncio.create_task(world.consumer(mail(), wire, resources={Post: post}).run(stop))
    await world.quiet()
    lost_as_soon_as(wire, lambda: world.ledger("mail", "tell_held").state is State.DONE)
    world.tell(RoomHeld(nights=1, card="good"))
    await asyncio.sleep(1)
    world.tell(RoomHeld(nights=1, card="good"), "another")
    await world.until(lambda: world.ledger("mail", "tell_held").state is State.DONE)
    await asyncio.sleep(0.5)  # trouble is met by the next read
    stop.set()
    wire.heal()
    await working

    assert post.calls == [SAGA, "another"]
    assert world.ledger("mail", "tell_held", "another").state is State.DONE
    assert world.in_hand() == 2
