"""Many sagas followed at once: what is remembered of those that ended is bounded, and nothing is lost by that."""

from __future__ import annotations

from datetime import timedelta

from sagastream.cli.follower import MOST_ENDED, Follower
from tests.trip import TRIP, CardCharged, RoomHeld, TripBooked, TripConfirmed
from tests.unit.core.world import World, in_virtual_time

WAY = (TripBooked(nights=1), RoomHeld(nights=1, card="good"), CardCharged(nights=1), TripConfirmed())


async def end(world: World, *saga_ids: str) -> None:
    """Have sagas that are completed."""
    for saga_id in saga_ids:
        for event in WAY:
            world.tell(event, saga_id, id=f"{event.type_name()}-{saga_id}")
    await world.work(world.coordinator(TRIP))


@in_virtual_time
async def test_what_comes_late_about_the_first_of_many_that_ended_is_told() -> None:
    """Others end in the same instant, so that it is the one to be forgotten."""
    world = World()
    follower = Follower([TRIP], bus=world.wire().bus, prefix="w:")
    await follower.open()
    for saga_ids in (["first"], [f"trip-{number}" for number in range(MOST_ENDED - 1)]):
        await end(world, *saga_ids)
        while await follower.changes(timedelta(seconds=1)):
            pass
    await end(world, *(f"later-{number}" for number in range(30)))
    world.tell(WAY[1], "first", id="RoomHeld-first")

    told = await follower.changes(timedelta(seconds=1))

    assert {change.view.saga_id for change in told} == {"first", *(f"later-{number}" for number in range(30))}
