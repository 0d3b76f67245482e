"""Everything in a history has a cause that stands in it too, back to the beginning."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from sagastream.event import StepBarred, StepGaveUp, UndoRequested
from tests.trip import TRIP, CardDeclined, RoomHeld, TripBooked, TripConfirmed, bank, desk, hotel
from tests.unit.core.casts import with_rooms
from tests.unit.core.world import SAGA, World, in_virtual_time


def without_cause(history: list[dict[str, Any]]) -> list[str]:
    """Return what stands in a history without a cause that stands before it."""
    known: set[str] = set()
    found = []
    for note in history:
        if known and note.get("cause") not in known:
            found.append(f"{note['type']} {note['id']}")
        known.add(note["id"])
    return found


@in_virtual_time
async def test_what_time_brings_about_was_caused_by_what_happened_last() -> None:
    """A step overdue, a request repeated for hours: each has a cause, and none is empty."""
    world = with_rooms(5, sweep_s=30.0, block=timedelta(seconds=30))
    async with world.running(world.consumer(desk), world.consumer(hotel), world.coordinator(TRIP)):
        begun = await world.entrance(desk).begin(TripBooked(nights=2), key="request-17")
        await asyncio.sleep(7200)
        history = world.history(begun.saga_id)
        assert sum(note["type"] == "UndoRequested" for note in history) > 3
        async with world.running(world.consumer(bank)):
            await world.until(lambda: world.status(begun.saga_id) == "Compensated", timedelta(hours=2))

    history = world.history(begun.saga_id)
    assert [note["type"] for note in history if note["type"] == "StepOverdue"]
    assert without_cause(history) == []


@in_virtual_time
async def test_what_told_nothing_new_causes_nothing() -> None:
    """A give-up that is told again under another id is in no history; what follows in its turn has another cause."""
    world = World(sweep_s=3600.0)
    async with world.running(world.coordinator(TRIP)):
        began = world.tell(TripBooked(nights=2), id="e-1")
        world.tell(RoomHeld(nights=2, card="good"), id="e-2", causationid="e-1")
        await world.quiet()
        gave_up = StepGaveUp(step=RoomHeld.type_name(), undoing=False, reason="no", attempts=1)
        for id_ in ("e-3", "e-4"):
            world.append("hotel", "StepGaveUp", world.fields(gave_up, SAGA, id_) | {"causationid": "e-1"})
            await world.quiet()
        barred = world.fields(StepBarred(step=TripConfirmed.type_name()), SAGA, "e-5") | {"causationid": "e-1"}
        bars = [note["id"] for note in world.history() if note["type"] == "BarRequested"]
        world.append("desk", "StepBarred", barred | {"causationid": bars[0]})
        world.append("hotel", "StepGaveUp", world.fields(gave_up, SAGA, "e-6") | {"causationid": "e-1"})
        await world.quiet()

    assert began
    assert {"e-4", "e-6"}.isdisjoint(note["id"] for note in world.history())
    assert without_cause(world.history()) == []


@in_virtual_time
async def test_a_refused_step_is_barred_for_one_cause_however_often_it_is_asked() -> None:
    """Two requests about a refused step are answered by one event, and that has one cause: the refusal."""
    world = World()
    async with world.running(world.consumer(hotel)):
        world.tell(TripBooked(nights=2), id="e-1")
        await world.quiet()
        for _ in range(2):
            world.ask("hotel", UndoRequested(step=RoomHeld.type_name()))
            await world.quiet()

    refused = world.ledger("hotel", "hold_room")
    barred = world.events("hotel", StepBarred)
    assert refused.state == "refused"
    assert len(barred) == 2
    assert {(event["id"], event["causationid"]) for event in barred} == {(barred[0]["id"], refused.id)}


@in_virtual_time
async def test_events_of_one_batch_are_taken_in_by_time_and_the_latest_causes_what_follows() -> None:
    """A batch holds one stream after the other: what it brings last is often not what happened last."""
    world = World(sweep_s=3600.0)
    async with world.running(world.coordinator(TRIP)):
        await world.quiet()
    for event, id_ in ((TripBooked(nights=2), "e-1"), (CardDeclined(reason="no"), "e-2")):
        world.tell(event, id=id_, causationid="-" if id_ == "e-1" else "e-1")
        await asyncio.sleep(0.01)
    world.tell(RoomHeld(nights=2, card="good"), id="e-3", causationid="e-1")
    async with world.running(world.coordinator(TRIP)):
        await world.quiet()

    (asked, *_) = [note for note in world.history() if note["type"] == "UndoRequested"]
    assert [note["id"] for note in world.history()][:3] == ["e-1", "e-2", "e-3"]
    assert asked["cause"] == "e-3"
