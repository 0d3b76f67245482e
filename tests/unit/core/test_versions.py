"""Events of one saga that name different tables: what a coordinator makes of them, in whatever order it reads them."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from sagastream import Event, Participant, Saga, Transaction
from sagastream.event import StepBarred
from sagastream.keys import COORDINATOR
from tests.trip import TRIP, CardCharged, RoomHeld, TripBooked, TripConfirmed, bank, cancel, confirm, desk, hotel
from tests.unit.core.casts import with_rooms
from tests.unit.core.world import SAGA, World, in_virtual_time

BACKLOG = 12  # beginnings before ours, of which one read brings some


class CancellationWanted(Event, by="desk"):
    """A person turned up at the desk."""


OLDER = replace(TRIP, cancellation=CancellationWanted)
SHORTER = replace(OLDER, version=2, steps=(TRIP.steps[0], TRIP.steps[2]))


def newer_desk() -> Participant:
    """Return the desk of a release that begins trips of version 2 by the event that began those of version 1."""
    newer = Participant("desk")
    newer.begins(TripBooked, saga="trip", version=2)
    newer.on(CardCharged)(confirm)
    newer.undo(TripBooked)(cancel)
    return newer


@pytest.mark.parametrize("is_newer_known", [False, True])
@in_virtual_time
async def test_who_turns_a_saga_back_says_the_version_it_began_with(is_newer_known: bool) -> None:
    """A coordinator that comes late reads that before the beginning; every effect of the older version is undone."""
    world = with_rooms(batch=5)
    entrance = world.entrance(desk)
    for number in range(BACKLOG):
        await entrance.begin(TripBooked(nights=1), key=f"before-{number}")
    saga_id = (await entrance.begin(TripBooked(nights=1), key="request-17")).saga_id
    await world.work(world.consumer(hotel), world.consumer(bank))
    await world.entrance(newer_desk()).bar(saga_id, TripConfirmed, because=CancellationWanted())
    tables = (OLDER, SHORTER) if is_newer_known else (OLDER,)
    workers = [world.consumer(each) for each in (newer_desk(), hotel, bank)]

    await world.work(world.coordinator(*tables), *workers)

    assert world.hash(COORDINATOR, f"record:{saga_id}")["definition_version"] == "1"
    assert world.status(saga_id) == "Compensated"
    assert {line["type"] for line in world.history(saga_id)} >= {"CancellationWanted", "StepBarred", "CardRefunded"}
    assert world.letters(COORDINATOR) == []


@pytest.mark.parametrize("is_refused", [False, True])
@in_virtual_time
async def test_a_saga_that_is_undone_is_barred_whenever_it_is_asked(is_refused: bool) -> None:
    """The ledger remembers by then what undid the beginning: that is no saga nobody knows."""
    world = World()
    world.call("HSET", "hotel", "rooms", "free", 0 if is_refused else 3)
    entrance = world.entrance(desk)
    saga_id = (await entrance.begin(TripBooked(nights=1), key="request-17")).saga_id
    if not is_refused:
        assert await entrance.bar(saga_id, TripConfirmed, because=CancellationWanted()) == "barred"
    await world.work(world.coordinator(OLDER), *(world.consumer(each) for each in (desk, hotel, bank)))
    assert world.ledger("desk", "begin", saga_id).state == "undone"

    assert await entrance.bar(saga_id, TripConfirmed, because=CancellationWanted()) == "barred"
    assert len(world.events("desk", CancellationWanted)) == (not is_refused)


@in_virtual_time
async def test_versions_that_share_events_run_each_others_handlers() -> None:
    """Why a version with other steps has events of its own: a handler is chosen by its event and knows no version."""
    world, older_desk = World(), Participant("desk")
    older_desk.begins(TripBooked, saga="trip", version=1)

    @older_desk.on(RoomHeld)
    async def confirm_held(held: RoomHeld, tx: Transaction) -> TripConfirmed:
        return TripConfirmed()

    world.call("HSET", "hotel", "rooms", "free", 3)
    older, newer = replace(SHORTER, version=1), replace(OLDER, version=2)
    held = (await world.entrance(older_desk).begin(TripBooked(nights=1), key="older")).saga_id
    declined = (await world.entrance(newer_desk()).begin(TripBooked(nights=1, card="bad"), key="newer")).saga_id
    casts = [(older_desk, 1), (newer_desk(), 2), (hotel, 1), (bank, 2)]
    workers = [world.consumer(one, ordinal=ordinal) for one, ordinal in casts]
    await world.work(world.coordinator(older, newer), *workers)

    assert [event["correlationid"] for event in world.events("bank", CardCharged)] == [held]
    assert world.status(held) == "Completed"  # by a table that knows of no charge
    assert [event["correlationid"] for event in world.events("desk", TripConfirmed)].count(declined) == 1
    assert world.status(declined) == "NeedsAttention"


STRANGE: dict[str, Event] = {
    "bar": StepBarred(step="TripConfirmed"),
    "cancellation": CancellationWanted(),
    "step": RoomHeld(nights=1, card="good"),
    "end": TripConfirmed(),
}
RELEASES: dict[str, tuple[tuple[Saga, ...], ...]] = {
    "one coordinator": ((OLDER, SHORTER),),
    "two of one release": ((OLDER, SHORTER), (OLDER, SHORTER)),
    "an older and a newer": ((OLDER,), (OLDER, SHORTER)),
    "two of which neither knows both": ((OLDER,), (SHORTER,)),
}


def told(world: World, event: Event, version: str) -> None:
    """Append an event that names this version."""
    fields = world.fields(event, SAGA, f"{event.type_name()}-{version}")
    world.append(event.by or "desk", event.type_name(), fields | {"definitionversion": version})


@pytest.mark.parametrize("pause_s", [0, 0.001])
@pytest.mark.parametrize("releases", RELEASES.values(), ids=RELEASES)
@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@in_virtual_time
async def test_events_that_name_two_versions_need_a_person_and_none_is_lost(
    order: tuple[int, ...], strange: Event, releases: tuple[tuple[Saga, ...], ...], pause_s: float
) -> None:
    """Whoever is read first names the table; what names another is a letter, and no end is announced."""
    world = World(batch=8)  # of which two are a rush
    events = [(TripBooked(nights=1), "1"), (CardCharged(nights=1), "1"), (strange, "2")]
    workers = [world.coordinator(*tables, ordinal=at) for at, tables in enumerate(releases, start=1)]
    async with world.running(*workers):
        for at in order:
            told(world, *events[at])
            await asyncio.sleep(pause_s)
        await world.quiet()
        await world.until(lambda: not any(world.call("XLEN", COORDINATOR, f"parked:trip:{v}") for v in "12"))

    known = world.hash(COORDINATOR, f"record:{SAGA}")["definition_version"]
    letters = world.letters(COORDINATOR)
    assert {letter["message"]["fields"]["id"] for letter in letters} == {
        f"{event.type_name()}-{version}" for event, version in events if version != known
    }
    assert {f"{event.type_name()}-{version}" for event, version in events if version == known} <= {
        line["id"] for line in world.history()
    }
    assert world.status() == "NeedsAttention"
