"""Nothing is kept for ever, and nothing goes that somebody still needs.

It is long because streams, records, consumers and parked events are kept by one set of settings, and go on one day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from sagastream.bus import Command
from sagastream.event import LIBRARY_FACTS
from sagastream.keys import COORDINATOR
from sagastream.replies import listed, named
from sagastream.settings import Settings
from sagastream.testing.memory_server import encoded
from tests.trip import TRIP, RoomHeld, TripBooked
from tests.unit.core.casts import Script, desk, hotel
from tests.unit.core.test_coordinator import complete, names
from tests.unit.core.world import SAGA, Wire, World, in_virtual_time

DAY = timedelta(days=1).total_seconds()
GROWING = frozenset({"HSET", "HSETNX", "XADD", "XGROUP", "EVAL", "EVALSHA"})


def slow(**settings: Any) -> World:  # noqa: ANN401  # any setting
    """Return a world in which days pass quickly, for nobody looks at the clock more often than every half hour."""
    return World(sweep_s=1800, **{"block": timedelta(minutes=30), **settings})


def die_holding(wire: Wire) -> None:
    """End a worker right after it was given new entries."""
    wire.on_way_back = lambda command: "dead" if command[0] == "XREADGROUP" and ">" in command else None


def entries(world: World, owner: str, stream: str) -> int:
    """Return how many entries a stream has."""
    return int(str(world.call("XLEN", owner, stream)))


@in_virtual_time
async def test_what_everybody_has_read_goes_after_a_while() -> None:
    """Not before a day, and not before the coordinator has read it too."""
    world = slow()
    world.call("HSET", "hotel", "rooms", "free", 1000)
    async with world.running(world.consumer(hotel(Script())), world.coordinator(TRIP)):
        for saga_id in names(200):
            world.tell(TripBooked(nights=1), saga_id)
        await asyncio.sleep(DAY / 2)
        assert entries(world, "hotel", "events:RoomHeld") == 200
    async with world.running(world.consumer(hotel(Script()))):
        await asyncio.sleep(DAY)
        assert entries(world, "hotel", "events:RoomHeld") < 200


@in_virtual_time
async def test_what_one_group_has_not_read_stays_however_old_it_is() -> None:
    """The coordinator is away for days; every entry it missed is still there."""
    world = slow()
    world.call("HSET", "hotel", "rooms", "free", 1000)
    await world.work(world.coordinator(TRIP))
    async with world.running(world.consumer(hotel(Script()))):
        for saga_id in names(200):
            world.tell(TripBooked(nights=1), saga_id)
        await asyncio.sleep(5 * DAY)

    assert entries(world, "hotel", "events:RoomHeld") == 200


@in_virtual_time
async def test_what_is_pending_stays_however_old_it_is() -> None:
    """Somebody read it and died; it must be there for who takes over."""
    world = slow(claim_idle=timedelta(days=30))
    world.call("HSET", "hotel", "rooms", "free", 1000)
    await world.work(world.coordinator(TRIP))
    dead = world.wire()
    async with world.running(world.consumer(hotel(Script()))):
        world.tell(TripBooked(nights=1), SAGA)
        await world.until(lambda: entries(world, "hotel", "events:RoomHeld") == 1)
        die_holding(dead)
        await world.until_dead(world.coordinator(TRIP, wire=dead, ordinal=2), dead)
        await asyncio.sleep(5 * DAY)

    assert entries(world, "hotel", "events:RoomHeld") == 1


@in_virtual_time
async def test_nothing_goes_while_a_group_that_was_there_is_missing() -> None:
    """Somebody destroyed it; it will be made again from the beginning and must find everything."""
    world = slow()
    world.call("HSET", "hotel", "rooms", "free", 1000)
    async with world.running(world.consumer(hotel(Script())), world.coordinator(TRIP)):
        for saga_id in names(200):
            world.tell(TripBooked(nights=1), saga_id)
        await asyncio.sleep(120)
    world.server.call("XGROUP", "DESTROY", world.keys.of("hotel").events("RoomHeld"), COORDINATOR)
    async with world.running(world.consumer(hotel(Script()))):
        await asyncio.sleep(5 * DAY)

    assert entries(world, "hotel", "events:RoomHeld") == 200


@in_virtual_time
async def test_a_stream_that_nobody_reads_is_kept_for_a_time_of_its_own() -> None:
    """Announcements are for whoever may come; after six days they go."""
    world = slow()
    coordinator = world.coordinator(TRIP)
    complete(world, names(200))
    async with world.running(coordinator):
        await asyncio.sleep(5 * DAY)
        assert entries(world, COORDINATOR, "events:SagaCompleted") == 200
        await asyncio.sleep(2 * DAY)
        assert entries(world, COORDINATOR, "events:SagaCompleted") < 200


@in_virtual_time
async def test_what_no_handler_of_a_participant_publishes_goes_from_its_streams_as_well() -> None:
    """What begins its sagas comes from the entrance, and what is said of a step that gave up from the library."""
    world = slow()
    streams = [f"events:{kind.type_name()}" for kind in (TripBooked, *LIBRARY_FACTS)]
    for name in names(200):
        for stream in streams:
            world.call("XADD", "desk", stream, "*", "name", name)
    async with world.running(world.consumer(desk(Script()))):
        await asyncio.sleep(5 * DAY)
        assert {entries(world, "desk", stream) for stream in streams} == {200}
        await asyncio.sleep(2 * DAY)
        assert all(entries(world, "desk", stream) < 200 for stream in streams)


@in_virtual_time
async def test_a_consumer_that_is_gone_is_forgotten_once_it_holds_nothing() -> None:
    """What it held is claimed first; its name goes an hour later."""
    world = slow()
    dead = world.wire()
    die_holding(dead)
    world.tell(TripBooked(nights=1))
    await world.until_dead(world.coordinator(TRIP, wire=dead, ordinal=2), dead)
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(1800)
        assert consumers(world) == {"saga-1", "saga-2"}
        await asyncio.sleep(3 * 3600)

    assert consumers(world) == {"saga-1"}
    assert world.status() != ""


def consumers(world: World) -> set[str]:
    """Return the names the coordinators' group knows on one stream."""
    told = world.server.call("XINFO", "CONSUMERS", world.keys.of("desk").events("TripBooked"), COORDINATOR)
    return {named(each)["name"] for each in listed(told)}


@in_virtual_time
async def test_consumers_are_looked_at_no_more_often_than_they_can_have_become_silent() -> None:
    """An hour's silence is noticed just as well by four looks an hour as by one a minute."""
    world = World(sweep_s=1800)
    wire = world.wire()
    async with world.running(world.consumer(hotel(Script()), wire)):
        await asyncio.sleep(DAY)

    streams = len(world.streams())
    looks = sum(command[:2] == ("XINFO", "CONSUMERS") for command in wire.sent)
    assert streams < looks <= 4 * 24 * streams


@in_virtual_time
async def test_a_silent_consumer_that_holds_something_is_never_forgotten() -> None:
    """Forgetting it would lose what it holds, and with it a saga."""
    world = slow(claim_idle=timedelta(days=30))
    dead = world.wire()
    die_holding(dead)
    world.tell(TripBooked(nights=1))
    await world.until_dead(world.coordinator(TRIP, wire=dead, ordinal=2), dead)
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(DAY)

    assert consumers(world) == {"saga-1", "saga-2"}


@in_virtual_time
async def test_ended_sagas_are_removed_when_their_time_is_over_and_counted() -> None:
    """Record, history and every index; an unfinished saga of the same age stays."""
    world = slow(keep_completed=timedelta(days=8), keep_undone=timedelta(days=8), keep_aborted=timedelta(days=8))
    complete(world, names(450))
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1), "unfinished")
        await asyncio.sleep(7.9 * DAY)
        assert world.call("ZCARD", COORDINATOR, "index:all") == 451
        await asyncio.sleep(0.2 * DAY)

    assert world.call("ZCARD", COORDINATOR, "index:all") == 1
    assert world.call("ZCARD", COORDINATOR, "index:process:trip") == 1
    assert world.call("ZCARD", COORDINATOR, "index:initiator:customer-1") == 1
    assert world.call("ZCARD", COORDINATOR, "index:status:Completed:trip") == 0
    assert world.hash(COORDINATOR, "record:saga-7") == {}
    assert world.history("saga-7") == []
    assert world.status("unfinished") != ""
    assert world.counts()["removed|trip|Completed"] == 450


@in_virtual_time
async def test_the_time_of_a_saga_is_counted_from_its_end() -> None:
    """One that began long ago and ended today is kept as long as any other, and crowds out nobody."""
    world = slow(keep_completed=timedelta(days=8))
    async with world.running(world.coordinator(TRIP)):
        complete(world, ["quick"])
        await asyncio.sleep(4 * DAY)
    record = world.keys.key("record:quick")
    world.server.call("HSET", record, "ended_ms", world.now_ms())
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(7 * DAY)
        assert world.status("quick") == "Completed"
        await asyncio.sleep(2 * DAY)
    assert world.status("quick") == ""


def full_until(world: World, is_over: Callable[[], bool]) -> Wire:
    """Return the way to a server that takes in nothing until then; scripts that delete pass, as on a real one."""
    wire = world.wire()

    def refuses(command: Command) -> str | None:
        deletes = command[0] in ("EVAL", "EVALSHA") and b"removed|" in encoded(command[-1])
        return "lost" if command[0] in GROWING and not deletes and not is_over() else None

    wire.on_way_there = refuses
    return wire


@in_virtual_time
async def test_a_full_server_is_trimmed_by_those_whom_it_refuses() -> None:
    """Nobody can commit for hours; what all have read goes when its time is over, and then all goes on by itself."""
    world = slow(stream_retention=timedelta(hours=1))
    world.call("HSET", "hotel", "rooms", "free", 1000)
    async with world.running(world.consumer(hotel(Script())), world.coordinator(TRIP)):
        for saga_id in names(200):
            world.tell(TripBooked(nights=1), saga_id)
        await world.quiet()
    wire = full_until(world, lambda: entries(world, "hotel", "events:RoomHeld") < 200)
    world.tell(TripBooked(nights=1), "late")
    hotel_, coordinator = world.consumer(hotel(Script()), wire), world.coordinator(TRIP, wire=wire)
    async with world.running(hotel_, coordinator):
        await asyncio.sleep(1800)
        assert (entries(world, "hotel", "events:RoomHeld"), hotel_.is_ready()) == (200, False)
        await asyncio.sleep(2400)
        assert (coordinator.is_ready(), hotel_.is_ready(), world.unsettled()) == (True, True, [])

    assert world.events("hotel", RoomHeld, "late")


async def with_old_sagas() -> World:
    """Return a world of twenty completed sagas whose time is over in three quarters of an hour."""
    world = slow(keep_completed=timedelta(days=8))
    async with world.running(world.coordinator(TRIP)):
        complete(world, names(20))
        await asyncio.sleep(7.97 * DAY)
    return world


@in_virtual_time
async def test_ended_sagas_leave_a_full_server_though_the_coordinator_cannot_go_on() -> None:
    """What is read cannot be stored for days; the removal of what is over waits for none of it."""
    world = await with_old_sagas()
    world.tell(TripBooked(nights=1), "late")
    coordinator = world.coordinator(TRIP, wire=full_until(world, lambda: False))
    async with world.running(coordinator):
        await asyncio.sleep(0.06 * DAY)
        assert not coordinator.is_ready()

    assert world.call("ZCARD", COORDINATOR, "index:all") == 0
    assert world.counts()["removed|trip|Completed"] == 20


@in_virtual_time
async def test_a_record_whose_end_makes_no_sense_keeps_no_other_from_being_removed() -> None:
    """Nobody knows when its time is over, so it stays."""
    world = await with_old_sagas()
    odd, *others = names(20)
    world.call("HSET", COORDINATOR, f"record:{odd}", "ended_ms", "soon")
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(0.06 * DAY)

    assert world.status(odd) == "Completed"
    assert [world.status(saga_id) for saga_id in others] == [""] * 19


@pytest.mark.parametrize("when", ["found", "read"])
@in_virtual_time
async def test_a_saga_that_is_open_again_is_not_removed_by_who_found_it_ended(when: str) -> None:
    """A ledger contradicts its end just then; another coordinator stores that between two steps of the removal."""
    world = await with_old_sagas()
    reopened, *others = names(20)
    wire = world.wire()

    def reopen(command: Command, is_it: bool) -> None:
        if is_it and world.status(reopened) == "Completed":
            version = int(world.hash(COORDINATOR, f"record:{reopened}")["version"])
            world.call("HSET", COORDINATOR, f"record:{reopened}", "status", "NeedsAttention", "version", version + 1)

    if when == "found":
        wire.on_way_back = lambda command: reopen(command, command[0] == "ZRANGE" and "Completed" in str(command[1]))
    else:
        wire.on_way_there = lambda command: reopen(command, b"removed|" in encoded(command[-1]))
    async with world.running(world.coordinator(TRIP, wire=wire)):
        await asyncio.sleep(0.06 * DAY)

    assert world.status(reopened) == "NeedsAttention"
    assert [world.status(saga_id) for saga_id in others] == [""] * 19
    assert world.counts()["removed|trip|Completed"] == 19


@in_virtual_time
async def test_many_that_stay_do_not_hide_those_whose_time_is_over() -> None:
    """More than one look takes in, and older: such as what an index names and nothing else knows of."""
    world = await with_old_sagas()
    for number in range(450):
        world.call("ZADD", COORDINATOR, "index:status:Completed:trip", number, f"of-nobody-{number}")
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(0.06 * DAY)

    assert [world.status(saga_id) for saga_id in names(20)] == [""] * 20


@pytest.mark.parametrize(
    "impossible",
    [
        {"unread_retention": timedelta(days=7)},
        {"stream_retention": timedelta(days=8)},
        {"keep_completed": timedelta(days=6)},
        {"ledger_retention": timedelta(days=40)},
    ],
    ids=str,
)
def test_retentions_that_would_let_something_happen_twice_are_refused(impossible: dict[str, timedelta]) -> None:
    """A ledger must remember longer than any stream, a record be there as long as its ledger."""
    with pytest.raises(ValidationError, match="LEDGER_RETENTION"):
        Settings(**impossible)  # type: ignore[arg-type]  # durations all


@in_virtual_time
async def test_an_emptied_server_is_noticed_and_nothing_goes_on() -> None:
    """Groups are not made anew on an empty store as if nothing had been."""
    world = World()
    coordinator = world.coordinator(TRIP)
    async with world.running(coordinator):
        complete(world, [SAGA])
        await world.quiet()
        world.server.call("FLUSHALL")
        await asyncio.sleep(60)
        assert not coordinator.is_ready()
        assert "is this the right server?" in str(coordinator.describe()["trouble"])
        assert world.streams() == []


@in_virtual_time
async def test_another_store_under_the_same_address_is_noticed() -> None:
    """A restored backup of something else, or a replica that never had our data."""
    world = World()
    coordinator = world.coordinator(TRIP)
    async with world.running(coordinator):
        await world.quiet()
        world.call("HSET", COORDINATOR, "store", "born", "elsewhere")
        world.server.call("XGROUP", "DESTROY", world.keys.of("desk").events("TripBooked"), COORDINATOR)
        await asyncio.sleep(60)

        assert "another one" in str(coordinator.describe()["trouble"])


@in_virtual_time
async def test_a_store_of_a_newer_format_is_left_alone() -> None:
    """An old version must not write what a newer one will misread."""
    world = World()
    world.call("HSET", COORDINATOR, "store", "format", 2)
    coordinator = world.coordinator(TRIP)
    complete(world, [SAGA])
    async with world.running(coordinator):
        await asyncio.sleep(60)

        assert "install the version" in str(coordinator.describe()["trouble"])
        assert world.status() == ""


@in_virtual_time
async def test_a_store_must_have_the_name_it_is_told_to_have() -> None:
    """After a restart on an empty volume nothing begins, until a person says that it is meant."""
    world = World(store="shop")
    coordinator = world.coordinator(TRIP)
    complete(world, [SAGA])
    async with world.running(coordinator):
        await asyncio.sleep(60)
        assert "sagastream init shop" in str(coordinator.describe()["trouble"])
        world.call("HSET", COORDINATOR, "store", "name", "shop")
        await world.until(lambda: world.status() == "Completed")


@in_virtual_time
async def test_no_deadline_runs_out_on_a_store_of_another_name() -> None:
    """Whoever was sent to the wrong server bars and asks nothing there; those who belong there do."""
    world = World()
    async with world.running(world.coordinator(TRIP)):
        world.tell(TripBooked(nights=1))
        await world.quiet()
    world.call("HSET", COORDINATOR, "store", "name", "production")
    before = world.history()
    world.settings = world.settings.model_copy(update={"store": "trial"})
    stranger = world.coordinator(TRIP)
    async with world.running(stranger):
        await asyncio.sleep(600)
        assert "is called 'production'" in str(stranger.describe()["trouble"])
    assert (world.history(), world.requests("desk")) == (before, [])

    world.settings = world.settings.model_copy(update={"store": "production"})
    async with world.running(world.coordinator(TRIP)):
        await world.until(lambda: world.requests("desk"))
    assert world.requests("desk") == ["BarRequested TripConfirmed"]


@in_virtual_time
async def test_no_deadline_runs_out_on_a_store_that_was_put_in_the_place_of_ours() -> None:
    """The server went away and another came back under its address, with sagas that are overdue."""
    world = World()
    wire = world.wire()
    coordinator = world.coordinator(TRIP, wire=wire)
    async with world.running(coordinator):
        world.tell(TripBooked(nights=1))
        await world.quiet()
        wire.refuse_all()
        await asyncio.sleep(600)
        world.call("HSET", COORDINATOR, "store", "born", "elsewhere")
        wire.heal()
        await asyncio.sleep(600)
        assert "another one" in str(coordinator.describe()["trouble"])

    assert world.requests("desk") == []


@in_virtual_time
async def test_deadlines_run_out_again_once_a_server_is_back() -> None:
    """Trouble of any kind puts them off until the store was looked at again, and no longer."""
    world = World()
    wire = world.wire()
    async with world.running(world.coordinator(TRIP, wire=wire)):
        world.tell(TripBooked(nights=1))
        await world.quiet()
        wire.refuse_all()
        await asyncio.sleep(600)
        wire.heal()
        await world.until(lambda: world.requests("desk"), within=timedelta(seconds=5))

    assert world.requests("desk") == ["BarRequested TripConfirmed"]


@in_virtual_time
async def test_nothing_is_removed_from_a_store_of_another_name() -> None:
    """What is over there is not ours to remove."""
    world = await with_old_sagas()
    world.settings = world.settings.model_copy(update={"store": "trial"})
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(0.06 * DAY)

    assert world.call("ZCARD", COORDINATOR, "index:all") == 20
