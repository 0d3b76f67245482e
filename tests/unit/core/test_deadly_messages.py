"""A message whose handling ends the process, leaving no error behind: it is put away at last, and nothing else is.

So ends a handler that takes all memory, or a library below it that crashes.
It is long because such a message is tried in every place where a process may end or wait.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from sagastream.bus import Command
from sagastream.consumer import Consumer
from sagastream.event import StepGaveUp, UndoRequested
from sagastream.participant import Participant
from sagastream.retries import OFTEN
from sagastream.transaction import Transaction
from tests.trip import CardCharged, CardDeclined, RoomGivenBack, RoomHeld, TripBooked
from tests.unit.core.casts import RETRY, Gateway, Script, bank, free, hotel, with_rooms
from tests.unit.core.world import Wire, World, in_virtual_time, meanwhile

MOST_LIVES = OFTEN + RETRY.attempts + 1


def book(world: World, sagas: int) -> None:
    for number in range(sagas):
        world.tell(TripBooked(nights=2), f"saga-{number}", id=f"booked-{number}")


def dies(fatal: str, wire: Wire, saga_id: str) -> None:
    """End the worker in the middle of handling this saga."""
    if saga_id == fatal:
        wire.is_dead.set()
        raise RuntimeError("nobody lives to hear this")


def is_over(world: World, wire: Wire, *workers: Consumer) -> bool:
    return wire.is_dead.is_set() or (all(each.is_ready() for each in workers) and not world.unsettled())


async def live(world: World, participant: Participant, wire: Wire, gateway: Gateway | None = None) -> bool:
    """Let a worker run until it dies or nothing is left to do; tell whether it died."""
    worker = world.consumer(participant, wire, resources={Gateway: gateway} if gateway else None)
    async with meanwhile(worker.run(asyncio.Event())):
        await world.until(partial(is_over, world, wire, worker))
    return wire.is_dead.is_set()


Make = Callable[[Script], Participant]


async def deadly_life(world: World, fatal: str, make: Make = hotel, gateway: Gateway | None = None) -> bool:
    """Let a worker run that dies of handling this saga; tell whether it came to that."""
    wire, script = world.wire(), Script()
    script.before = partial(dies, fatal, wire)
    return await live(world, make(script), wire, gateway)


async def lives(world: World, fatal: str, make: Make = hotel, gateway: Gateway | None = None) -> int:
    """Start a participant again and again, as who watches over it does; return how often it died."""
    deaths = 0
    while deaths < 2 * MOST_LIVES and await deadly_life(world, fatal, make, gateway):
        deaths += 1
    return deaths


@in_virtual_time
async def test_a_message_that_ends_every_process_is_put_away_and_all_others_go_on() -> None:
    world = with_rooms()
    book(world, sagas=10)

    assert await lives(world, "saga-3") < MOST_LIVES

    assert len(world.events("hotel", RoomHeld)) == 9
    assert free(world) == "82"
    (gave_up,) = [json.loads(event["data"]) for event in world.events("hotel", StepGaveUp)]
    assert gave_up["attempts"] == RETRY.attempts
    assert gave_up["reason"].startswith("NeverEnded: taken up ")
    (letter,) = world.letters("hotel")
    assert letter["saga"] == "saga-3"
    assert world.hash("hotel", "attempts") == world.hash("hotel", "failing:saga-3") == {}


@in_virtual_time
async def test_an_undo_that_ends_every_process_is_given_up() -> None:
    world = with_rooms()
    book(world, sagas=4)
    await world.work(world.consumer(hotel(Script())))
    world.ask("hotel", UndoRequested(step="RoomHeld"), "saga-3")

    assert await lives(world, "undo saga-3") < MOST_LIVES

    (gave_up,) = [json.loads(event["data"]) for event in world.events("hotel", StepGaveUp)]
    assert (gave_up["undoing"], gave_up["attempts"]) == (True, RETRY.attempts)
    assert free(world) == "92"


def impatient(script: Script) -> Participant:
    """Return a hotel that tries to hold a room more often than to give one back."""
    hotel = Participant("hotel", retry=RETRY)

    @hotel.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        return RoomHeld(nights=trip.nights, card=trip.card)

    @hotel.undo(RoomHeld, retry=replace(RETRY, attempts=1))
    async def give_room_back(held: RoomHeld, tx: Transaction) -> RoomGivenBack:
        script(f"undo {tx.saga_id}")
        return RoomGivenBack()

    return hotel


@in_virtual_time
async def test_an_undo_that_ends_every_process_has_the_attempts_that_were_declared_for_it() -> None:
    world = World()
    book(world, sagas=1)
    await world.work(world.consumer(impatient(Script())))
    world.ask("hotel", UndoRequested(step="RoomHeld"), "saga-0")

    assert await lives(world, "undo saga-0", impatient) == OFTEN + 1

    (gave_up,) = [json.loads(event["data"]) for event in world.events("hotel", StepGaveUp)]
    assert (gave_up["undoing"], gave_up["attempts"]) == (True, 1)


@in_virtual_time
async def test_others_that_wait_outside_are_not_put_away_with_the_one_that_ends_the_process() -> None:
    """Nobody knows at first which of them it was; so each is tried alone."""
    world, gateway = World(), Gateway()
    for number in range(5):
        world.tell(RoomHeld(nights=2, card="good"), f"saga-{number}", id=f"held-{number}")

    assert await lives(world, "saga-1", bank, gateway) < MOST_LIVES

    assert {event["correlationid"] for event in world.events("bank", CardCharged)} == {
        f"saga-{number}" for number in (0, 2, 3, 4)
    }
    assert [(letter["saga"], letter["attempts"]) for letter in world.letters("bank")] == [("saga-1", "3")]


@in_virtual_time
async def test_a_participant_of_the_same_process_gives_up_nothing_for_it() -> None:
    """The provider takes its time, and what was under way at each end would be due again at the same instant."""
    world, chance = with_rooms(), random.Random(1).random
    book(world, sagas=2)
    world.tell(RoomHeld(nights=2, card="good"), "other", id="held")
    for _ in range(2 * MOST_LIVES):
        wire, script, gateway = world.wire(), Script(), Gateway()
        gateway.answers.clear()
        asyncio.get_running_loop().call_later(1, gateway.answers.set)
        script.before = partial(dies, "saga-1", wire)
        workers = (
            world.consumer(hotel(script), wire, chance=chance),
            world.consumer(bank(Script()), wire, resources={Gateway: gateway}, chance=chance),
        )
        async with meanwhile(workers[0].run(asyncio.Event())), meanwhile(workers[1].run(asyncio.Event())):
            await world.until(partial(is_over, world, wire, *workers))
        if not wire.is_dead.is_set():
            break

    assert not world.letters("bank")
    assert {event["correlationid"] for event in world.events("bank", CardCharged)} == {"saga-0", "other"}
    assert [letter["saga"] for letter in world.letters("hotel")] == ["saga-1"]


@pytest.mark.parametrize("times", [1, 3 * RETRY.attempts])
@in_virtual_time
async def test_an_attempt_that_the_server_ended_is_none_as_long_as_its_process_lives(times: int) -> None:
    """What was foreseen did not happen."""
    world = with_rooms()
    book(world, sagas=3)
    for _ in range(OFTEN):
        assert await deadly_life(world, "saga-1")
    wire, script = world.wire(), Script()
    refusals = iter(range(times))

    def refuse(saga_id: str) -> None:
        if saga_id == "saga-1" and next(refusals, None) is not None:
            wire.lose_requests("EVALSHA")

    script.before = refuse
    assert not await live(world, hotel(script), wire)

    assert len(world.events("hotel", RoomHeld)) == 3
    assert not world.letters("hotel")
    assert script.calls.count("saga-1") == times + 1
    assert world.hash("hotel", "attempts") == world.hash("hotel", "failing:saga-1") == {}


@in_virtual_time
async def test_what_could_not_be_noted_beforehand_is_not_taken_off_again() -> None:
    """The server takes no writes for a while, then nothing but the note of the failure."""
    world = with_rooms()
    book(world, sagas=1)
    for _ in range(OFTEN):
        assert await deadly_life(world, "saga-0")
    wire, script = world.wire(), Script()
    notes = iter((True, True, False))

    def refuse(command: Command) -> str | None:
        return "lost" if command[0] == "EVALSHA" and next(notes, False) else None

    def fail(saga_id: str) -> None:
        if len(script.calls) == 1:
            raise LookupError("not today")

    wire.on_way_there, script.before = refuse, fail
    await live(world, hotel(script), wire)

    assert len(world.events("hotel", RoomHeld)) == 1
    assert world.hash("hotel", "attempts") == {}


@in_virtual_time
async def test_why_nothing_comes_of_a_message_that_ends_the_process_is_told_while_it_is_tried() -> None:
    world = with_rooms()
    book(world, sagas=2)
    for _ in range(OFTEN + 1):
        assert await deadly_life(world, "saga-1")

    (told,) = world.hash("hotel", "failing:saga-1").values()
    assert told == "hold_room\nNeverEnded: taken up 6 times and never settled: handling it may end the process"
    assert len(world.events("hotel", RoomHeld)) == 1


@in_virtual_time
async def test_a_message_that_only_failed_often_is_not_taken_for_one_that_ends_the_process() -> None:
    """Each attempt is one more delivery."""
    world = with_rooms()
    book(world, sagas=1)
    script = Script()

    def fails(saga_id: str) -> None:
        raise LookupError("not today")

    script.before = fails
    await world.work(world.consumer(hotel(script)))

    (gave_up,) = [json.loads(event["data"]) for event in world.events("hotel", StepGaveUp)]
    assert gave_up["reason"] == "LookupError: not today"


@in_virtual_time
async def test_what_waits_while_its_worker_starts_again_and_again_is_not_taken_for_one_that_ends_it() -> None:
    """Each start reads it once more; there may be many, a server in trouble, and thousands that wait for a provider."""
    world, noted = with_rooms(), list[dict[str, str]]()
    book(world, sagas=1)
    patient = Participant("hotel", retry=replace(RETRY, first=timedelta(minutes=10), cap=timedelta(minutes=10)))

    @patient.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        noted.append(world.hash("hotel", "failing:saga-0"))
        if len(noted) == 1:
            raise LookupError("not today")
        return RoomHeld(nights=trip.nights, card=trip.card)

    for _ in range(3 * OFTEN):
        worker = world.consumer(patient)
        async with meanwhile(worker.run(asyncio.Event())):
            await world.until(lambda worker=worker: worker.is_ready() and noted)
            await asyncio.sleep(1)
    await world.work(world.consumer(patient))

    assert [list(each.values()) for each in noted] == [[], ["hold_room\nLookupError: not today"]]
    assert len(world.events("hotel", RoomHeld)) == 1


@in_virtual_time
async def test_a_call_that_may_end_its_process_and_takes_its_time_holds_up_nobody() -> None:
    world, gateway = World(), Gateway()
    world.tell(RoomHeld(nights=2, card="good"), "saga-1", id="held-1")
    for _ in range(OFTEN):
        assert await deadly_life(world, "saga-1", bank, gateway)
    gateway.answers.clear()
    worker = world.consumer(bank(Script()), resources={Gateway: gateway})
    async with world.running(worker):
        await world.until(lambda: world.hash("bank", "attempts"))
        world.tell(RoomHeld(nights=1, card="bad"), "saga-2", id="held-2")
        await world.until(lambda: world.events("bank", CardDeclined), timedelta(seconds=5))
        gateway.answers.set()
        await world.quiet()

    assert [event["correlationid"] for event in world.events("bank", CardCharged)] == ["saga-1"]


@in_virtual_time
async def test_a_call_that_may_end_its_process_is_not_made_by_another_worker_as_well() -> None:
    """The provider takes its time; whoever looks meanwhile finds that somebody makes the attempt."""
    world, gateway = World(), Gateway()
    world.tell(RoomHeld(nights=2, card="good"), "saga-1", id="held-1")
    for _ in range(OFTEN):
        assert await deadly_life(world, "saga-1", bank, gateway)
    gateway.answers.clear()
    gateway.calls.clear()
    workers = [world.consumer(bank(Script()), ordinal=n, resources={Gateway: gateway}) for n in (1, 2)]
    async with world.running(*workers):
        await world.until(lambda: gateway.calls)
        await asyncio.sleep(120)
        assert len(gateway.calls) == 1
        gateway.answers.set()
        await world.quiet()

    assert [event["correlationid"] for event in world.events("bank", CardCharged)] == ["saga-1"]
