"""While the server stores what a batch led to, the next one is read and folded; no saga is stored twice at a time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from typing import cast

import pytest

from sagastream.bus import Command
from sagastream.coordinator.bundle import Bundle
from sagastream.coordinator.storing import SIDE_BY_SIDE, TOGETHER, Storing
from sagastream.coordinator.tracker import LINGER
from sagastream.errors import ServerUnavailable
from sagastream.keys import COORDINATOR
from tests.trip import TRIP, CardCharged, CardDeclined, RoomHeld, TripBooked, TripConfirmed
from tests.unit.core.test_exported_series import Told
from tests.unit.core.world import World, in_virtual_time

A_CALL_S = 0.1


class About:
    """As much of a bundle as is looked at: which saga it is of."""

    def __init__(self, saga_id: str) -> None:
        self.saga_id = saga_id
        self.first = self


def about(*numbers: int) -> list[Bundle]:
    """Return bundles of these sagas."""
    return [cast(Bundle, About(f"saga-{number}")) for number in numbers]


class Slow:
    """A store that takes a while, and fails where it is told to."""

    def __init__(self, *, fails: Sequence[int] = ()) -> None:
        self.begun: list[int] = []
        self.ended = 0
        self._fails = fails

    async def __call__(self, bundles: Sequence[Bundle]) -> None:
        """Store."""
        self.begun.append(len(bundles))
        fails = len(self.begun) - 1 in self._fails
        await asyncio.sleep(A_CALL_S)
        self.ended += 1
        if fails:
            raise ServerUnavailable("lost on its way")


def now_s() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_parts_are_stored_side_by_side_and_nobody_waits_for_them() -> None:
    """Until as many are under way as may be; who begins one more waits for one of them."""
    store = Slow()
    storing = Storing(store)
    begun_s = now_s()
    await storing.begin(about(*range(SIDE_BY_SIDE * TOGETHER)))
    await asyncio.sleep(0)
    assert (now_s(), store.begun) == (begun_s, [TOGETHER] * SIDE_BY_SIDE)
    await storing.begin(about(-1))
    assert now_s() == begun_s + A_CALL_S
    await storing.end()
    assert (now_s(), store.ended, bool(storing)) == (begun_s + 2 * A_CALL_S, SIDE_BY_SIDE + 1, False)


@in_virtual_time
async def test_a_part_waits_for_one_that_holds_a_saga_of_it() -> None:
    """Otherwise one of them would find another version than it was folded on."""
    storing = Storing(Slow())
    begun_s = now_s()
    await storing.begin(about(1, 2))
    await storing.begin(about(3, 4))
    assert now_s() == begun_s
    await storing.begin(about(5, 2))
    assert now_s() == begun_s + A_CALL_S
    await storing.end()


@in_virtual_time
async def test_who_waits_for_a_part_waits_for_no_other() -> None:
    """Those that began later go on, and are waited for in the end."""
    store = Slow()
    storing = Storing(store)
    begun_s = now_s()
    await storing.begin(about(1))
    await asyncio.sleep(A_CALL_S / 2)
    await storing.begin(about(2))
    await storing.begin(about(1))
    assert (now_s(), store.ended) == (begun_s + A_CALL_S, 1)
    await storing.end()
    assert (now_s(), store.ended) == (begun_s + 2 * A_CALL_S, 3)


@in_virtual_time
async def test_what_is_let_go_of_is_stored_by_nobody() -> None:
    """Nor is it waited for, where all is taken down at once."""
    store = Slow()
    storing = Storing(store)
    begun_s = now_s()
    await storing.begin(about(1))
    await asyncio.sleep(A_CALL_S / 2)
    await storing.cancel()
    assert not storing
    await storing.end()
    assert now_s() == begun_s + A_CALL_S / 2
    await asyncio.sleep(A_CALL_S)
    assert (len(store.begun), store.ended) == (1, 0)


@in_virtual_time
async def test_what_could_not_be_stored_is_told_to_who_comes_next() -> None:
    """Once, and not before the others under way have ended."""
    store = Slow(fails=(0, 1))
    storing = Storing(store)
    for number in range(3):
        await storing.begin(about(number))
    with pytest.raises(ServerUnavailable):
        await storing.end()
    assert store.ended == 3
    await storing.begin(about(1))
    await storing.end()


@in_virtual_time
async def test_what_could_not_be_stored_is_told_though_nothing_is_to_be_stored() -> None:
    """A rush may bring much that says nothing, or waits; and what was not stored holds back every deadline."""
    storing = Storing(Slow(fails=(0,)))
    await storing.begin(about(1))
    await asyncio.sleep(2 * A_CALL_S)
    with pytest.raises(ServerUnavailable):
        await storing.begin([])


@in_virtual_time
async def test_who_gives_up_waits_until_nothing_goes_on() -> None:
    """Whatever became of it is found out by reading anew, and told by nobody else."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    store = Slow(fails=(0,))
    storing = Storing(store)
    await storing.begin(about(1))
    await storing.begin(about(2))
    await storing.give_up()
    assert (store.ended, bool(storing)) == (2, False)
    await storing.give_up()
    await storing.end()
    gc.collect()  # an error nobody took is told by then
    assert told == []


@in_virtual_time
async def test_in_a_rush_the_next_batch_is_read_while_one_is_stored() -> None:
    """And what it leads to of the same sagas is stored after it, without a conflict."""
    world = World()
    wire = world.wire()
    under_way = 0
    seen: list[str] = []
    read_s: list[float] = []

    def stores(command: Command) -> bool:
        return command[0] == "EVALSHA" and isinstance(command[-1], bytes) and b"record:" in command[-1]

    async def before(command: Command) -> None:
        nonlocal under_way
        if stores(command):
            seen.append("store")
            under_way += 1
            await asyncio.sleep(A_CALL_S)
        elif command[0] == "XREADGROUP":
            read_s.append(now_s())

    async def after(command: Command) -> None:
        nonlocal under_way
        if stores(command):
            under_way -= 1
            seen.append("stored")
        elif command[0] == "XREADGROUP" and under_way:
            seen.append("read")

    coordinator = world.coordinator(TRIP, wire=wire)
    async with world.running(coordinator):
        await world.quiet()
        wire.bus.writer.before, wire.bus.writer.after = before, after  # type: ignore[attr-defined]  # a memory connection
        sagas = [f"saga-{number}" for number in range(TOGETHER)]
        for event in (TripBooked(nights=1), RoomHeld(nights=1, card="bad"), CardDeclined(reason="bad")):
            for saga_id in sagas:
                world.tell(event, saga_id)
        await world.until(lambda: "store" in seen)
        assert read_s[-1] - read_s[-2] < LINGER.total_seconds()  # it went out before anything was folded
        for saga_id in sagas:
            world.tell(RoomHeld(nights=1, card="good"), f"other-{saga_id}")
            world.tell(CardCharged(nights=1), f"other-{saga_id}")
            world.tell(TripConfirmed(), f"other-{saga_id}")
            world.tell(TripBooked(nights=1), f"other-{saga_id}")
        await world.quiet()
        assert {world.status(saga_id) for saga_id in sagas} == {"Compensating"}
        assert {world.status(f"other-{saga_id}") for saga_id in sagas} == {"Completed"}

    assert "read" in seen[: seen.index("stored")]
    assert Told(coordinator._telemetry.render())("conflicts_total", service=COORDINATOR) == 0


@in_virtual_time
async def test_where_little_comes_what_is_stored_is_acknowledged_at_once() -> None:
    """A read that waits for more would keep the acknowledgement back, and with it every deadline."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        await world.quiet()
        world.tell(TripBooked(nights=1))
        await asyncio.sleep(0.02)
        assert world.in_hand() == 0


def turned_back(world: World, of: str, many: int) -> None:
    """Tell of as many sagas what nobody waits with: their cards are declined."""
    for number in range(many):
        world.tell(CardDeclined(reason="bad"), f"{of}-{number}")


@in_virtual_time
async def test_what_was_the_last_of_a_rush_is_acknowledged_at_once() -> None:
    """No read waits for more while something is being stored."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        turned_back(world, "before", 2 * TOGETHER)  # a first read takes a little of each stream
        await world.quiet()
        turned_back(world, "last", 2 * TOGETHER)
        await asyncio.sleep(0.02)
        assert world.in_hand() == 0


@in_virtual_time
async def test_after_trouble_nothing_is_read_again_before_all_that_was_begun_has_ended() -> None:
    """Otherwise what is on its way would be folded and stored once more."""
    world = World()
    wire = world.wire()
    stores = lost = 0

    async def before(command: Command) -> None:
        nonlocal stores, lost
        if command[0] == "EVALSHA" and isinstance(command[-1], bytes) and b"record:" in command[-1]:
            stores += 1
            await asyncio.sleep(10 * A_CALL_S)
        elif command[0] == "XREADGROUP" and ">" in command and not lost:
            lost += 1
            raise ServerUnavailable("lost on its way")

    async with world.running(world.coordinator(TRIP, wire=wire)):
        turned_back(world, "before", 2 * TOGETHER)
        await world.quiet()
        wire.bus.writer.before = before  # type: ignore[attr-defined]  # a memory connection
        turned_back(world, "saga", 2 * TOGETHER)
        await world.quiet()

    assert {world.status(f"saga-{number}") for number in range(2 * TOGETHER)} == {"Compensating"}
    assert (stores, lost) == (2, 1)
