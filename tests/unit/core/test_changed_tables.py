"""Tables that are changed while their version stays: said by whoever comes with the change, and by whoever is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from sagastream import Saga
from sagastream.coordinator.tables import read_begun_by_another, read_tables
from sagastream.coordinator.tracker import Coordinator
from sagastream.doctor import Verdict
from sagastream.doctor.patient import Patient
from sagastream.doctor.tables import tables
from sagastream.keys import COORDINATOR
from sagastream.loop import TIDY
from sagastream.saga.shape import shape
from tests.trip import TRIP, TripBooked, bank, desk, hotel
from tests.unit.core.casts import with_rooms
from tests.unit.core.world import World, in_virtual_time

SHORTER = replace(TRIP, steps=(TRIP.steps[0], TRIP.steps[2]))
NEXT = replace(SHORTER, version=2)
LOST = "without 'charge card by bank: CardCharged, refused CardDeclined, undone CardRefunded'"


async def begun(world: World, *sagas: Saga, key: str) -> str:
    """Return a trip that coordinators of these tables have seen begin, and that does not go on."""
    saga_id = (await world.entrance(desk).begin(TripBooked(nights=1), key=key)).saga_id
    await world.work(world.coordinator(*sagas), world.consumer(desk))
    await asyncio.sleep(1)
    return saga_id


async def doctored(world: World, *sagas: Saga) -> list[str]:
    """Return what the doctor of a project with these tables says about them."""
    found = await tables(Patient(world.wire().bus, world.settings, sagas, [desk, hotel, bank]))
    return [f"{one.verdict} {one.about}: {one.told}" for one in found]


async def under_way(world: World, saga: Saga) -> int:
    """Return how many unfinished sagas began when this was another table."""
    connection = world.wire().bus.query
    told = await read_tables(connection, world.keys)
    return await read_begun_by_another(connection, world.keys, saga, told[f"{saga.name}:{saga.version}"])


def changed(logs: Sequence[object]) -> list[str]:
    """Return what was said of tables that changed."""
    return [f"{line['table']} {line['now']}" for line in logs if isinstance(line, dict)
            and line["event"] == "table.changed"]  # fmt: skip


@in_virtual_time
async def test_a_table_that_stays_is_told_once() -> None:
    """However often coordinators start, of however many versions: nothing is said, nothing is written again."""
    world = World()
    with capture_logs() as logs:
        await world.work(world.coordinator(TRIP))
        first = world.hash(COORDINATOR, "tables")
        await world.work(world.coordinator(TRIP, NEXT), world.coordinator(TRIP, ordinal=2))

    assert {name: value for name, value in world.hash(COORDINATOR, "tables").items() if name in first} == first
    assert changed(logs) == []
    assert set(world.hash(COORDINATOR, "tables")) == {"trip:1", "trip:2"}
    assert await doctored(world, TRIP, NEXT) == ["ok : every saga uses the table it began with"]


@in_virtual_time
async def test_a_change_is_said_by_whoever_comes_with_it_and_lasts_until_its_sagas_have_ended() -> None:
    """What the left-out step did to them nobody would undo: an operator must hear of it before customers do."""
    world = with_rooms()
    await begun(world, TRIP, key="before")

    with capture_logs() as logs:
        await begun(world, SHORTER, key="after")
    said = await doctored(world, SHORTER)
    await world.work(*(world.consumer(each) for each in (desk, hotel, bank)), world.coordinator(TRIP))

    assert changed(logs) == [f"trip:1 {LOST}"]
    (told,) = said
    assert told.startswith("problem trip:1: changed ")
    assert f"now {LOST}; unfinished sagas from before: 1; give the changed table a new version" in told
    assert await under_way(world, TRIP) == 0


@in_virtual_time
async def test_a_change_that_is_taken_back_leaves_only_the_sagas_it_began() -> None:
    """Those from before it go by their own table again."""
    world = with_rooms()
    await begun(world, TRIP, key="before")
    await begun(world, SHORTER, key="meanwhile")
    await begun(world, SHORTER, key="meanwhile too")

    await begun(world, TRIP, key="after")

    assert await under_way(world, TRIP) == 2


@in_virtual_time
async def test_sagas_of_another_version_are_not_counted() -> None:
    """They share their indexes with them, and go by a table that nobody changed."""
    world = with_rooms()
    older = replace(TRIP, version=3)
    await begun(world, TRIP, key="of version 1")
    await world.work(world.coordinator(older))
    await asyncio.sleep(1)

    await world.work(world.coordinator(TRIP, replace(SHORTER, version=3)))

    assert await under_way(world, replace(SHORTER, version=3)) == 0


@pytest.mark.parametrize("is_well", [True, False])
@in_virtual_time
async def test_coordinators_side_by_side_notice_that_they_differ(is_well: bool) -> None:
    """The later one is stored, and who was there says so within a minute, at its health too; nobody takes turns."""
    world = World()
    older, newer = world.coordinator(TRIP), world.coordinator(TRIP if is_well else SHORTER, ordinal=2)
    with capture_logs() as logs:
        async with world.running(older):
            await asyncio.sleep(1)
            async with world.running(newer):
                await asyncio.sleep(5 * TIDY.total_seconds())
                told = [difference_of(each) for each in (older, newer)]

    assert told == [None if is_well else f"trip:1: other coordinators use one {LOST}", None]
    differs = [line for line in logs if line["event"] == "table.differs"]
    assert len(differs) == len(changed(logs)) == (not is_well)
    assert len(json.loads(world.hash(COORDINATOR, "tables")["trip:1"])) == (1 if is_well else 2)


def difference_of(coordinator: Coordinator) -> object:
    """Return what a coordinator's health says of its tables."""
    return coordinator.describe()["tablesDiffer"]


@in_virtual_time
async def test_a_project_with_another_table_than_its_coordinators_is_told_so() -> None:
    """Its own copy is what a person looks at; the coordinators may be of another release."""
    world = World()
    await world.work(world.coordinator(SHORTER))

    (told,) = await doctored(world, TRIP)

    assert told.startswith(f"{Verdict.PROBLEM} trip:1: coordinators use another table of this version")
    assert LOST in told


@in_virtual_time
async def test_two_that_come_at_once_with_different_tables_are_both_told() -> None:
    """Whoever is refused looks again; neither is lost."""
    world = World()
    wires = [world.wire(), world.wire()]
    coordinators = [world.coordinator(TRIP, wire=wires[0]), world.coordinator(SHORTER, wire=wires[1], ordinal=2)]

    async with world.running(*coordinators):
        await asyncio.sleep(3 * TIDY.total_seconds())

    periods = (await read_tables(world.wire().bus.query, world.keys))["trip:1"]
    assert {period.shape for period in periods} == {shape(TRIP), shape(SHORTER)}
    assert sum(difference_of(each) is not None for each in coordinators) == 1


@pytest.mark.parametrize("spoilt", ["{", "7", '[["soon", []]]', "[7]"])
@in_virtual_time
async def test_what_nobody_can_read_keeps_nobody_from_work(spoilt: str) -> None:
    """It is said, and sagas go on."""
    world = with_rooms()
    world.call("HSET", COORDINATOR, "tables", "trip:1", spoilt)

    with capture_logs() as logs:
        saga_id = await begun(world, TRIP, key="request-17")

    assert world.status(saga_id) == "Started"
    assert "tables.not_told" in {line["event"] for line in logs}
