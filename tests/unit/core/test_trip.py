"""A stranger's saga through the public API: completed, refused, cancelled late, undone after a time-out."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sagastream.event import SagaCompensationCompleted, SagaCompleted, SagaFailed
from sagastream.keys import COORDINATOR
from tests.trip import TRIP, CardRefunded, RoomGivenBack, TripBooked, TripCancelled, TripConfirmed, bank, desk, hotel
from tests.unit.core.world import World, in_virtual_time

SOON = timedelta(seconds=5)


def open_hotel(nights: int) -> World:
    """Return a world with so many nights to give."""
    world = World()
    world.call("HSET", "hotel", "rooms", "free", nights)
    return world


@pytest.mark.parametrize(
    ("nights", "card", "status", "free"),
    [(2, "good", "Completed", "8"), (2, "bad", "Compensated", "10"), (11, "good", "Failed", "10")],
)
@in_virtual_time
async def test_a_trip_ends_wholly_done_or_wholly_undone(nights: int, card: str, status: str, free: str) -> None:
    """Booked, declined, or no room: each within seconds and true to the rooms."""
    world = open_hotel(10)
    workers = [world.consumer(participant) for participant in (desk, hotel, bank)]
    async with world.running(*workers, world.coordinator(TRIP)):
        begun = await world.entrance(desk).begin(TripBooked(nights=nights, card=card), key="request-17")
        await world.until(lambda: world.status(begun.saga_id) == status, SOON)
        await world.quiet()

    ends = {"Completed": SagaCompleted, "Compensated": SagaCompensationCompleted, "Failed": SagaFailed}
    assert world.hash("hotel", "rooms") == {"free": free}
    assert len(world.events(COORDINATOR, ends[status], begun.saga_id)) == 1
    assert bool(world.events("desk", TripCancelled)) is (status != "Completed")
    assert bool(world.events("hotel", RoomGivenBack)) is (status == "Compensated")
    assert not world.events("bank", CardRefunded)


@in_virtual_time
async def test_a_worker_that_is_away_past_its_deadline_ends_the_trip_truthfully() -> None:
    """The bank is stopped; the trip is barred at the desk, waits for the bank, and is undone once it is back."""
    world = open_hotel(10)
    async with world.running(world.consumer(desk), world.consumer(hotel), world.coordinator(TRIP)):
        begun = await world.entrance(desk).begin(TripBooked(nights=2), key="request-17")
        await asyncio.sleep(600)
        assert world.status(begun.saga_id) == "Compensating"
        assert world.hash("hotel", "rooms") == {"free": "8"}
        async with world.running(world.consumer(bank)):
            await world.until(lambda: world.status(begun.saga_id) == "Compensated", SOON)

    assert world.hash("hotel", "rooms") == {"free": "10"}
    assert not world.events("desk", TripConfirmed)
    assert not world.events("bank", CardRefunded)
