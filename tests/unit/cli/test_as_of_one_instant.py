"""A saga and its history are two reads: what is shown of it is of one instant all the same."""

from __future__ import annotations

from collections.abc import Sequence

from sagastream.bus import Bus, Command, Connection, Reply
from sagastream.cli.follower import Follower
from sagastream.cli.watching import has_ended
from sagastream.coordinator.listing import Listing
from sagastream.coordinator.records import Records
from sagastream.errors import ReplyError
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.lifecycle import Status
from tests.trip import TRIP, CardDeclined, RoomGivenBack, RoomHeld, TripBooked, TripCancelled
from tests.unit.core.world import SAGA, World, in_virtual_time

DECLINED = (TripBooked(nights=1), RoomHeld(nights=1, card="bad"), CardDeclined(reason="the card is bad"))
UNDONE = (RoomGivenBack(), TripCancelled())


class Turning:
    """A server on which a saga ends right after the first read of its record or history."""

    def __init__(self, before: Connection, after: Connection) -> None:
        self._now, self._after = before, after

    async def execute(self, *command: str | int | float | bytes) -> Reply:
        """Answer, and let the saga end if this looked at it."""
        reply = await self._now.execute(*command)
        self._turn(command)
        return reply

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        """Answer one after the other, as a server may serve somebody else in between."""
        return [await self.execute(*command) for command in commands]

    def _turn(self, command: Command) -> None:
        if any(f":{what}:{SAGA}" in str(word) for word in command for what in ("record", "history")):
            self._now = self._after


async def ending() -> Bus:
    """Return the way to a server on which a saga ends between two reads."""
    worlds = World(), World()
    for world, events in zip(worlds, (DECLINED, (*DECLINED, *UNDONE)), strict=True):
        for event in events:
            world.tell(event, id=event.type_name())
        await world.work(world.coordinator(TRIP))
    before, after = (world.wire().bus.query for world in worlds)
    connection = Turning(before, after)
    return Bus(connection, connection, connection)


@in_virtual_time
async def test_a_saga_that_ends_between_two_reads_is_not_shown_ended_and_unfinished_at_once() -> None:
    """Seen in the demo: its end was drawn, and its status was still Compensating."""
    follower = Follower([TRIP], bus=await ending(), prefix="w:")

    change = await follower.look(SAGA)

    assert change is not None
    assert (change.view.status, has_ended(change.view)) == (Status.COMPENSATED, True)


@in_virtual_time
async def test_record_and_history_are_of_one_instant() -> None:
    """What the routes show: neither an end without its status, nor a status without its end."""
    listing = Listing(Records(await ending(), Keys("w:", COORDINATOR)))

    found = await listing.whole(SAGA)

    assert found is not None
    stored, history = found
    assert (stored.record.status, stored.ended_ms is not None) == (Status.COMPENSATED, True)
    assert "SagaCompensationCompleted" in history[-1]
