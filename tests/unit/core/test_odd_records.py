"""A record that says something nobody here knows: of it alone nothing can be shown."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import httpx
import pytest
from fastapi import FastAPI

from sagastream.bus import Command
from sagastream.coordinator.api import saga_routes
from sagastream.coordinator.repair_api import repair_routes
from sagastream.service import bare_app
from tests.trip import TRIP, RoomHeld, TripBooked
from tests.unit.core.world import World, in_virtual_time
from tests.unit.live.followers import Office


async def with_an_odd_one() -> World:
    """Return a world of three sagas, one in a status of a later version of this library."""
    world = World()
    for saga_id in ("one", "odd", "two"):
        world.tell(TripBooked(nights=1), saga_id, id=f"begun-{saga_id}")
    await world.work(world.coordinator(TRIP))
    world.call("HSET", "saga", "record:odd", "status", "Resting")
    return world


def client(world: World) -> httpx.AsyncClient:
    """Return a client of a coordinator's routes; what they do not answer is answered as a service does."""

    def lifespan(_: FastAPI) -> nullcontext[None]:
        return nullcontext()

    app = bare_app("coordinator", lifespan, is_open=lambda: True, always=())
    for routes in (saga_routes, repair_routes):
        app.include_router(routes([TRIP], bus=world.wire().bus, settings=world.settings))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://shop")


@pytest.mark.parametrize("field", ["version", "progress"])
@in_virtual_time
async def test_events_of_a_saga_whose_record_lost_a_part_are_put_away(field: str) -> None:
    """As if there were none it would be written for ever, or over what is left of it; all others go on."""
    world = World()
    world.tell(TripBooked(nights=1), "half")
    await world.work(world.coordinator(TRIP))
    world.call("HDEL", "saga", "record:half", field)
    sent = 0

    def in_vain(_: Command) -> str | None:
        nonlocal sent
        sent += 1
        assert sent < 1000, "it goes round in a circle"
        return None

    wire = world.wire()
    wire.on_way_there = in_vain
    world.tell(RoomHeld(nights=1, card="good"), "half")
    world.tell(TripBooked(nights=1), "whole")
    async with asyncio.timeout(60):
        await world.work(world.coordinator(TRIP, wire=wire))

    assert world.status("whole") == "Started"
    assert ["record of half cannot be read" in letter["reason"] for letter in world.letters("saga")] == [True]


@in_virtual_time
async def test_sagas_are_listed_without_one_in_an_unknown_status() -> None:
    async with client(await with_an_odd_one()) as asked:
        answer = await asked.get("/api/v1/sagas")

    assert answer.status_code == 200
    assert {saga["sagaId"] for saga in answer.json()["sagas"]} == {"one", "two"}


@pytest.mark.parametrize("path", ["/api/v1/sagas/odd", "/api/choreographedsaga/state/odd"])
@in_virtual_time
async def test_it_is_said_of_it_what_cannot_be_read(path: str) -> None:
    """Whoever asks for it must know that it is there, and what to look at."""
    async with client(await with_an_odd_one()) as asked:
        answer = await asked.get(path)

    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "the record of odd says 'Resting'" in answer.json()["detail"]


@in_virtual_time
async def test_sagas_are_followed_beside_one_in_an_unknown_status() -> None:
    world = await with_an_odd_one()
    coordinator = world.coordinator(TRIP)
    async with world.running(coordinator), Office(world).following() as follower:
        await world.until(lambda: follower.of("reset"))
        world.call("XADD", "saga", "changes", "*", "names", "odd")
        world.tell(RoomHeld(nights=1, card="good"), "two", id="held-two")
        await world.until(lambda: follower.of("sagas"))
        await world.until(lambda: follower.sagas().get("two") == "InProgress")

    assert not follower.is_over
