"""Operators act while participants and coordinators are at work: once, in the history, never against the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sagastream.bus import Command
from sagastream.coordinator.repair import Repaired, Repairs
from sagastream.errors import UnknownTable
from sagastream.event import StepBarred
from sagastream.keys import COORDINATOR
from sagastream.saga.repair import Act, Action, Because
from tests.trip import TRIP, CardCharged, CardRefunded, RoomHeld, TripBooked, TripConfirmed
from tests.unit.core.casts import Gateway, Script, bank, desk, hotel
from tests.unit.core.world import SAGA, Wire, World, in_virtual_time

FORWARD = (TripBooked(nights=2), RoomHeld(nights=2, card="good"), CardCharged(nights=2))


async def act(world: World, act: Act, wire: Wire | None = None) -> Repaired:
    """Act as ann."""
    repairs = Repairs([TRIP], bus=(wire or world.wire()).bus, settings=world.settings)
    done = await repairs.act(SAGA, Action(act, "ann", "the customer called"))
    assert done is not None
    return done


@in_virtual_time
async def test_a_saga_turned_back_by_a_person_is_wholly_undone() -> None:
    """What was charged is refunded, the room is free again, and the history says who wanted it and why."""
    world, gateway = World(), Gateway()
    world.call("HSET", "hotel", "rooms", "free", 5)
    gateway.answers.clear()
    async with world.running(
        world.consumer(hotel(Script())),
        world.consumer(bank(Script()), resources={Gateway: gateway}),
        world.consumer(desk(Script())),
        world.coordinator(TRIP),
    ):
        world.tell(FORWARD[0])
        world.call("HSET", "desk", f"ledger:{SAGA}", "begin", f"done\n\nTripBooked\nid\n\n{FORWARD[0].payload()}")
        await world.until(lambda: bool(gateway.charged))
        done = await act(world, Act.COMPENSATE)
        await world.until(lambda: world.status() == "Compensated")
        gateway.answers.set()
        await world.quiet()

    assert done.verdict.refused is None
    assert gateway.kept == []
    assert world.hash("hotel", "rooms")["free"] == "5"
    (note,) = [note for note in world.history() if note["type"] == "CompensationAsked"]
    assert (note["actor"], note["reason"], note["source"], note["id"]) == (
        "ann", "the customer called", "operator", done.id,
    )  # fmt: skip
    (asked,) = [note for note in world.history() if note["type"] == "BarRequested"]
    assert asked["cause"] == done.id


@in_virtual_time
async def test_whoever_acts_while_the_pivot_succeeds_is_told_the_truth() -> None:
    """The record changes between reading and storing: the person's action is decided again on what is there now."""
    world = World()
    for event in FORWARD:
        world.tell(event)
    async with world.running(world.coordinator(TRIP)):
        await world.until(lambda: world.status() == "InProgress")
        wire, is_first = world.wire(), True

        async def confirmed_meanwhile(command: Command) -> None:
            nonlocal is_first
            if command[0] in ("EVAL", "EVALSHA") and is_first:
                is_first = False
                world.tell(TripConfirmed())
                await world.until(lambda: world.status() == "Completed")

        wire.bus.writer.before = confirmed_meanwhile  # type: ignore[attr-defined]  # a memory connection
        done = await act(world, Act.COMPENSATE, wire)
        await world.quiet()

    assert done.verdict.refused is Because.ENDED
    assert world.status() == "Completed"
    assert world.requests("desk") == []
    assert "CompensationAsked" not in [note["type"] for note in world.history()]


@in_virtual_time
async def test_an_undo_that_gave_up_is_asked_again_at_once() -> None:
    """The hour between automatic attempts is not waited for; asked twice it still happens once."""
    world, gateway, broken = World(), Gateway(), Script()

    def fail(saga_id: str) -> None:
        if saga_id.startswith("undo"):
            raise RuntimeError("the bank is closed")

    broken.before = fail
    ledger = f"done\n\nCardCharged\nevent\n\n{FORWARD[2].payload()}"
    world.call("HSET", "bank", f"ledger:{SAGA}", "charge_card", ledger)
    for event in FORWARD:
        world.tell(event)
    world.append("desk", "StepBarred", world.fields(StepBarred(step="TripConfirmed"), SAGA, "barred"))
    async with world.running(world.consumer(bank(broken), resources={Gateway: gateway}), world.coordinator(TRIP)):
        await world.until(lambda: world.status() == "NeedsAttention")
        broken.before = lambda saga_id: None
        first, second = await asyncio.gather(act(world, Act.RETRY), act(world, Act.RETRY))
        await world.until(lambda: bool(world.events("bank", CardRefunded)))
        await world.quiet()

    assert first.id != second.id
    assert [note["type"] for note in world.history()].count("RetryAsked") == 2
    assert gateway.refunded == {f"{SAGA}.charge_card"}
    assert len({fields["id"] for fields in world.events("bank", CardRefunded)}) == 1


@in_virtual_time
async def test_a_beginning_that_was_never_seen_is_told_again() -> None:
    """Its event was lost; the ledger of who began the saga still knows it."""
    world = World()
    world.call("HSET", "desk", f"ledger:{SAGA}", "begin",
               f"done\n2024-01-01T00:00:00.000Z\nTripBooked\nbooked\ncause\n{FORWARD[0].payload()}")  # fmt: skip
    world.tell(FORWARD[1])
    async with world.running(world.consumer(desk(Script())), world.coordinator(TRIP)):
        await world.until(lambda: world.status() == "InProgress")
        await act(world, Act.RETRY)
        await world.until(lambda: "started_ms" in world.hash(COORDINATOR, f"record:{SAGA}"))
        await world.quiet()

    assert [fields["id"] for fields in world.events("desk", TripBooked)] == ["booked"]


@in_virtual_time
async def test_who_acts_on_a_saga_of_another_release_is_told_who_can() -> None:
    """As after a release was taken back: its sagas are not for this one to judge."""
    world = World()
    world.tell(FORWARD[0], definitionversion="2")
    await world.work(world.coordinator(replace(TRIP, version=2)))

    with pytest.raises(UnknownTable, match="no table 'trip' of version '2' is known here: ask a coordinator of"):
        await act(world, Act.COMPENSATE)


@in_virtual_time
async def test_there_is_nothing_to_do_about_a_saga_nobody_knows() -> None:
    repairs = Repairs([TRIP], bus=World().wire().bus, settings=World().settings)

    assert await repairs.act("nobody", Action(Act.RETRY, "ann", "why not")) is None


@in_virtual_time
async def test_what_is_heard_of_a_closed_saga_later_does_not_put_off_its_end() -> None:
    """A service goes on with what it had begun; the saga ended when a person closed it."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(FORWARD[0])
        await world.quiet()
        await act(world, Act.ABORT)
        closed = world.hash(COORDINATOR, f"record:{SAGA}")
        await asyncio.sleep(60)
        world.tell(FORWARD[1])
        await world.quiet()

    since = world.hash(COORDINATOR, f"record:{SAGA}")
    assert "RoomHeld" in [note["type"] for note in world.history()]
    assert (since["status"], since["ended_ms"]) == ("Aborted", closed["ended_ms"])
