"""The events of sagas that seem wrong together are read together, and each saga is given its own, all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from sagastream.audit import Scene
from sagastream.audit.case import Case
from sagastream.audit.events import Events, joined
from sagastream.audit.reading import Cases
from sagastream.bus import Argument, Command, Reply
from sagastream.errors import ReplyError
from sagastream.testing.memory_connection import MemoryConnection
from tests.trip import TRIP, TripBooked
from tests.unit.audit.trips import EVERYBODY, SOON, Trips, played
from tests.unit.core.world import in_virtual_time


class Counting(MemoryConnection):
    """A connection that counts what it is asked."""

    def __init__(self, trips: Trips) -> None:
        super().__init__(trips.server)
        self.asked: Counter[str] = Counter()

    async def execute(self, *command: Argument) -> Reply:
        self.asked[str(command[0])] += 1
        return await super().execute(*command)

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        self.asked.update(str(command[0]) for command in commands)
        return await super().pipeline(commands)


async def cases(trips: Trips, scene: Scene) -> dict[str, Case]:
    """Return every saga as it is read."""
    found = await Cases(scene).load(list(trips.ids.values()), now_ms=trips.world.now_ms(), read_until_ms=10**15)
    return {case.saga_id: case for case in found if isinstance(case, Case)}


@in_virtual_time
async def test_sagas_of_one_time_are_read_together_and_each_is_given_its_own() -> None:
    """Hundreds that a storm leaves behind must not mean that every stream is read hundreds of times."""
    trips = await played()
    counting = Counting(trips)
    scene = Scene(counting, trips.world.settings, [TRIP], EVERYBODY)
    events, known, now_ms = Events(scene), await cases(trips, scene), trips.world.now_ms()
    counting.asked.clear()

    together = await events.of(known, now_ms, dict.fromkeys(known, ()))
    asked_together = counting.asked["XRANGE"]
    alone = {id_: (await events.of({id_: case}, now_ms, {id_: ()}))[id_] for id_, case in known.items()}
    asked_alone = counting.asked["XRANGE"] - asked_together

    assert len(known) == len(trips.ids) == 4
    assert {id_: set(told or ()) for id_, told in together.items()} == {
        id_: set(told or ()) for id_, told in alone.items()
    }
    assert all(together.values())
    assert asked_together * 2 < asked_alone


@in_virtual_time
async def test_a_clock_that_was_a_day_ahead_makes_nothing_missing() -> None:
    """Entries go on at the instants it had reached, for a day: who looks only up to now finds none of them."""
    trips = Trips()
    trips.world.clock_step_ms = 24 * 3_600_000
    await trips.play()
    trips.world.clock_step_ms = 0
    async with AsyncExitStack() as running:
        workers = [trips.world.consumer(each) for each in EVERYBODY]
        for worker in (*workers, trips.world.coordinator(TRIP)):
            await running.enter_async_context(trips.world.running(worker))
        after = await trips.begin("afterwards", TripBooked(nights=1))
        await trips.world.until(lambda: trips.world.status(after) == "Completed", SOON)
        await trips.world.quiet()

    audited = await trips.audited(at_rest=True)

    assert audited.is_clean, audited.findings.differing


@in_virtual_time
async def test_what_is_trimmed_while_it_is_read_is_not_said_to_be_missing() -> None:
    """Reading rests between two looks, and may take longer than entries are kept."""
    trips = await played()

    async def trim() -> None:
        trips.call("XTRIM", "bank", "events:CardCharged", "MAXLEN", 0)

    scene = Scene(MemoryConnection(trips.server), trips.world.settings, [TRIP], EVERYBODY, pause=trim)
    known = await cases(trips, scene)
    found = await Events(scene).of(known, trips.world.now_ms(), dict.fromkeys(known, ()))

    assert found[trips.ids["done"]] is None


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(1, 3)], [(1, 3)]),
        ([(5, 9), (1, 3)], [(1, 3), (5, 9)]),
        ([(1, 4), (4, 6)], [(1, 6)]),
        ([(1, 9), (2, 3), (8, 12)], [(1, 12)]),
    ],
)
def test_spans_that_overlap_are_one(spans: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    assert joined(spans) == expected
