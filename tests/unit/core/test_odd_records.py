"""A record that says something nobody here knows: of it alone nothing can be shown."""

from __future__ import annotations

from contextlib import nullcontext

import httpx
from fastapi import FastAPI

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


@in_virtual_time
async def test_sagas_are_listed_without_one_in_an_unknown_status() -> None:
    world = await with_an_odd_one()

    def lifespan(_: FastAPI) -> nullcontext[None]:
        return nullcontext()

    app = bare_app("coordinator", lifespan, is_open=lambda: True, always=())
    app.include_router(repair_routes([TRIP], bus=world.wire().bus, settings=world.settings))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        answer = await client.get("/api/v1/sagas")

    assert answer.status_code == 200
    assert {saga["sagaId"] for saga in answer.json()["sagas"]} == {"one", "two"}


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
