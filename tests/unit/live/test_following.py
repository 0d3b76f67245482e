"""Whoever follows sagas sees every change, and is told whenever something may have been missed.

It is long because changes, figures, single sagas and trouble all reach a follower by one hub.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import pairwise

from structlog.testing import capture_logs

from sagastream.keys import CHANGES, COORDINATOR
from sagastream.live.api import HEARTBEAT_S
from sagastream.live.feed import MOST_SAGAS
from sagastream.live.hub import BEAT, PACE
from tests.trip import TRIP, CardCharged, RoomHeld, TripBooked, TripConfirmed
from tests.unit.core.test_coordinator import FORWARD, complete, names
from tests.unit.core.test_keeping import with_old_sagas
from tests.unit.core.world import SAGA, World, in_virtual_time
from tests.unit.live.followers import Office


@in_virtual_time
async def test_who_comes_while_the_store_is_away_is_told_of_trouble_at_once() -> None:
    """And begins as everybody does once it is back."""
    office = Office(World())
    office.wire.refuse_all()
    async with office.following() as follower:
        await asyncio.sleep(5)
        told_meanwhile = [event for _, event, _ in follower.events]
        office.wire.heal()
        await office.world.until(lambda: follower.of("figures") and follower.of("reset"), timedelta(seconds=30))

    assert told_meanwhile == ["trouble"]
    assert [event for _, event, _ in follower.events if event != "figures"] == ["trouble", "reset"]


@in_virtual_time
async def test_a_new_follower_is_told_to_load_its_lists_and_then_of_every_change() -> None:
    world = World()
    office = Office(world)
    async with world.running(world.coordinator(TRIP)), office.following() as follower:
        complete(world, names(3))
        await world.until(lambda: follower.sagas() == dict.fromkeys(names(3), "Completed"))

    assert (follower.status, follower.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (follower.headers["cache-control"], follower.headers["x-accel-buffering"]) == ("no-store", "no")
    assert follower.events[0][:2] == ("", "reset")
    assert follower.last_id == str(world.call("XREVRANGE", COORDINATOR, CHANGES, "+", "-")[0][0])  # type: ignore[index]  # the entry


@in_virtual_time
async def test_the_elements_are_those_of_lists() -> None:
    """Word for word, so that a client can put one in the place of the other."""
    world = World()
    office = Office(world)
    async with world.running(world.coordinator(TRIP)), office.following() as follower:
        world.tell(FORWARD[0])
        await world.until(lambda: follower.sagas())

    (shown,) = follower.of("sagas")[0]["sagas"]
    assert shown["waitingFor"]["who"] == "hotel"
    assert shown.keys() >= {"sagaId", "businessProcess", "initiatorId", "startedAt", "remainingSteps", "durationMs"}


@in_virtual_time
async def test_changes_come_no_faster_than_twenty_times_a_second_each_saga_once() -> None:
    """All changes within a second are at most twenty-one messages, and the last one is the truth."""
    world = World(batch=1)
    office = Office(world)
    async with world.running(world.coordinator(TRIP)), office.following() as follower:
        await asyncio.sleep(1)
        for event in FORWARD:
            for saga_id in names(10):
                world.tell(event, saga_id, id=f"{event.type_name()}-{saga_id}")
                await asyncio.sleep(0.025)
        await world.until(lambda: follower.sagas() == dict.fromkeys(names(10), "Completed"))

    at = [at for at, (_, event, _) in zip(follower.at, follower.events, strict=True) if event == "sagas"]
    assert min(later - earlier for earlier, later in pairwise(at)) >= PACE.total_seconds() - 0.001
    assert 10 <= len(at) <= 21


@in_virtual_time
async def test_all_followers_of_a_process_share_one_reader_which_ends_with_the_last_of_them() -> None:
    world = World()
    office = Office(world)
    async with world.running(world.coordinator(TRIP)):
        async with AsyncExitStack() as stack:
            followers = [await stack.enter_async_context(office.following()) for _ in range(20)]
            complete(world, [SAGA])
            await world.until(lambda: all(follower.sagas() for follower in followers))
            reads = len(office.wire.commands("XREAD"))
        await asyncio.sleep(2)
        asked = len(office.wire.sent)
        await asyncio.sleep(60)

    assert reads < 10
    assert len(office.wire.sent) == asked


@in_virtual_time
async def test_who_comes_back_is_told_what_happened_meanwhile() -> None:
    """By the header of a browser, or by the query of a client that cannot send it."""
    world = World()
    office = Office(world)
    async with world.running(world.coordinator(TRIP)):
        async with office.following() as first:
            complete(world, ["one"])
            await world.until(lambda: first.sagas())
        complete(world, ["two"])
        await world.quiet()
        async with office.following(last=first.last_id) as again:
            await world.until(lambda: again.sagas())
        async with office.following(f"/api/v1/events?lastEventId={first.last_id}") as by_query:
            await world.until(lambda: by_query.sagas())

    for follower in (again, by_query):
        assert follower.of("reset") == []
        assert follower.sagas() == {"two": "Completed"}


@in_virtual_time
async def test_who_comes_back_too_late_is_told_to_load_everything_again() -> None:
    """Also with an id that never was one, and with one from a server that lost its data."""
    world = World()
    office = Office(world)
    complete(world, ["one"])
    await world.work(world.coordinator(TRIP))

    for last in ("1-0", "0-0", "nonsense", "99999999999999-0"):
        async with office.following(last=last) as follower:
            await world.until(lambda follower=follower: follower.events)  # type: ignore[misc]  # a default of a lambda
        assert follower.events[0][1] == "reset"


@in_virtual_time
async def test_a_store_that_is_not_what_it_was_resets_every_follower() -> None:
    """Emptied behind our back, without a lost connection."""
    world = World()
    office = Office(world)
    complete(world, ["one"])
    await world.work(world.coordinator(TRIP))
    async with office.following() as follower:
        await world.until(lambda: follower.events)
        world.server.call("FLUSHALL")
        await asyncio.sleep(4)

    assert len(follower.of("reset")) > 1


@in_virtual_time
async def test_more_changes_than_can_be_shown_reset_every_follower() -> None:
    world = World()
    office = Office(world)
    async with office.following() as follower:
        await world.until(lambda: follower.events)
        world.call("XADD", COORDINATOR, CHANGES, "*", "names", " ".join(names(MOST_SAGAS + 1)))
        await asyncio.sleep(3)

    _, second = follower.of("reset")
    assert second["at"] is not None
    assert follower.of("sagas") == []


@in_virtual_time
async def test_while_the_store_is_away_followers_know_it_and_then_nothing_is_missed() -> None:
    world = World()
    office = Office(world)
    async with world.running(world.coordinator(TRIP)), office.following() as follower:
        complete(world, ["one"])
        await world.until(lambda: follower.sagas())
        await asyncio.sleep(10)
        before = len(follower.events)
        office.wire.refuse_all()
        await asyncio.sleep(10)
        complete(world, ["two"])
        told_meanwhile = [event for _, event, _ in follower.events[before:]]
        office.wire.heal()
        await world.until(lambda: "two" in follower.sagas())
        await asyncio.sleep(2)

    assert told_meanwhile == ["trouble"]
    assert len(follower.of("reset")) == 1
    after = [event for _, event, _ in follower.events]
    assert "figures" in after[after.index("trouble") :]


@in_virtual_time
async def test_figures_come_every_second_also_when_nothing_changed() -> None:
    """So that a client knows a line that is dead from one on which nothing happens."""
    world = World(batch=1)
    office = Office(world)
    async with world.running(world.coordinator(TRIP)), office.following() as follower:
        for saga_id in names(20):
            complete(world, [saga_id])
            await asyncio.sleep(0.25)
        await asyncio.sleep(20)
        quiet = len(follower.of("figures"))
        await asyncio.sleep(60)

    figures = follower.of("figures")
    at = [at for at, (_, event, _) in zip(follower.at, follower.events, strict=True) if event == "figures"]
    assert min(later - earlier for earlier, later in pairwise(at)) >= BEAT.total_seconds() - 0.001
    assert max(later - earlier for earlier, later in pairwise(at)) < 2 * BEAT.total_seconds()
    assert len(figures) - quiet in (59, 60, 61)
    assert (figures[-1]["started"], figures[-1]["ended"], figures[-1]["active"]) == (20, 20, 0)
    assert figures[-1]["byStatus"]["Completed"] == 20
    assert figures[0]["startedPerSecond"] is None
    assert max(told["startedPerSecond"] or 0 for told in figures) == 4.0
    assert figures[-1]["completedPerSecond"] == 0


@in_virtual_time
async def test_a_quiet_stream_is_kept_alive_by_a_comment() -> None:
    world = World()
    office = Office(world)
    async with office.following() as follower:
        await asyncio.sleep(47)

    at = [at for at, _ in follower.comments]
    assert len(at) == 3
    assert at[2] - at[0] < 31


@in_virtual_time
async def test_more_clients_than_may_are_asked_to_come_later() -> None:
    """A place is free again as soon as its client has gone."""
    world = World()
    office = Office(world, live_clients=2)
    complete(world, [SAGA])
    await world.work(world.coordinator(TRIP))
    async with office.following(), office.following(), office.following() as third:
        assert (third.status, third.headers["retry-after"]) == (503, "1")
        async with office.following(f"/api/v1/sagas/{SAGA}/events") as one:
            assert one.status == 503
    async with office.following() as fourth:
        assert fourth.status == 200


@in_virtual_time
async def test_one_saga_is_followed_whole_to_its_end() -> None:
    """The stream ends with it, and who comes back is told that there is nothing more."""
    world = World()
    office = Office(world)
    path = f"/api/v1/sagas/{SAGA}/events"
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1))
        await world.quiet()
        async with office.following(path) as follower:
            for event in (RoomHeld(nights=1, card="good"), CardCharged(nights=1), TripConfirmed()):
                await asyncio.sleep(0.5)
                complete(world, ["another"])
                world.tell(event)
            await world.until(lambda: follower.is_over)
        async with office.following(path, follower.last_id) as again:
            await asyncio.sleep(0.1)

    told = follower.of("saga")
    assert [one["status"] for one in told] == ["Started", "InProgress", "InProgress", "Completed"]
    assert [len(one["remainingSteps"]) for one in told] == [3, 2, 1, 0]
    assert {step["status"] for step in told[-1]["steps"]} == {"Done"}
    assert told[-1]["history"][-1]["type"] == "SagaCompleted"
    assert (again.status, again.events) == (204, [])


@in_virtual_time
async def test_a_saga_that_is_removed_while_it_is_followed_is_gone() -> None:
    world = World()
    office = Office(world)
    world.tell(TripBooked(nights=1))
    await world.work(world.coordinator(TRIP))
    async with office.following(f"/api/v1/sagas/{SAGA}/events") as follower:
        await world.until(lambda: follower.of("saga"))
        world.call("DEL", COORDINATOR, f"record:{SAGA}")
        world.call("XADD", COORDINATOR, CHANGES, "*", "names", SAGA)
        await world.until(lambda: follower.is_over, within=timedelta(seconds=5))

    assert follower.events[-1][1] == "gone"


@in_virtual_time
async def test_a_saga_that_is_not_known_cannot_be_followed() -> None:
    office = Office(World())
    async with office.following("/api/v1/sagas/nobody/events") as follower:
        assert (follower.status, follower.headers["content-type"]) == (404, "application/problem+json")


@in_virtual_time
async def test_a_client_that_takes_nothing_is_sent_away_and_is_no_fault_of_ours() -> None:
    """Such as a machine that was put to sleep; what was begun for it ends."""
    world = World()
    office = Office(world)
    with capture_logs() as logged:
        async with office.unread():
            await asyncio.sleep(HEARTBEAT_S * 8)

    assert [line["event"] for line in logged] == ["live.client_too_slow"]
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("live: ")]


@in_virtual_time
async def test_who_follows_all_sagas_is_told_which_are_removed() -> None:
    """They ended long ago and still stand on somebody's page."""
    world = await with_old_sagas()
    await asyncio.sleep(3600)
    world.sweep_s = 1
    office = Office(world)
    async with office.following() as follower, world.running(world.coordinator(TRIP)):
        await world.until(lambda: world.call("ZCARD", COORDINATOR, "index:all") == 0, timedelta(minutes=3))
        await asyncio.sleep(1)

    assert {saga_id for told in follower.of("sagas") for saga_id in told["gone"]} == set(names(20))
