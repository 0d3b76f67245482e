"""Releases of one project side by side, and one taken back: what the older and the newer make of each other's sagas."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sagastream import Event, Participant
from sagastream.keys import COORDINATOR
from tests.trip import TRIP, CardCharged, TripBooked, TripConfirmed, bank, cancel, confirm, desk, hotel
from tests.unit.core.world import World, in_virtual_time


class CancellationWanted(Event, by="desk"):
    """A person turned up at the desk."""


@pytest.mark.parametrize("is_newer_known", [False, True])
@in_virtual_time
async def test_a_saga_of_an_older_version_is_turned_back_through_a_newer_release(is_newer_known: bool) -> None:
    """Whoever turns it back from outside says the version of his release: the table it began with judges it."""
    world = World()
    older = replace(TRIP, cancellation=CancellationWanted)
    newer = replace(older, version=2, steps=(*TRIP.steps[:2], replace(TRIP.steps[2], name="settle")))
    tables = (older, newer) if is_newer_known else (older,)
    saga_id = (await world.entrance(desk).begin(TripBooked(nights=1), key="request-17")).saga_id
    world.call("HSET", "hotel", "rooms", "free", 3)
    await world.work(world.coordinator(*tables), world.consumer(hotel))
    with_newer = Participant("desk")
    with_newer.begins(TripBooked, saga="trip", version=2)
    with_newer.on(CardCharged)(confirm)
    with_newer.undo(TripBooked)(cancel)

    assert await world.entrance(with_newer).bar(saga_id, TripConfirmed, because=CancellationWanted()) == "barred"
    await world.work(*(world.consumer(each) for each in (with_newer, hotel, bank)), world.coordinator(*tables))

    assert world.status(saga_id) == "Compensated"
    assert world.letters(COORDINATOR) == []
    assert {(line["type"], line.get("step")) for line in world.history(saga_id)} >= {
        ("CancellationWanted", "begin"), ("StepBarred", "confirm"), ("RoomGivenBack", "hold room"),
    }  # fmt: skip
