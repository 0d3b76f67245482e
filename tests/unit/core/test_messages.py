"""One event of a saga as it travelled is shown to operators, for as long as its stream keeps it."""

from __future__ import annotations

from contextlib import nullcontext

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from sagastream.coordinator.message_api import message_routes
from sagastream.service import bare_app
from tests.trip import TRIP, NoRoomLeft, RoomHeld, TripBooked
from tests.unit.core.world import World, in_virtual_time

ANN = {"Authorization": "Bearer only-ann-knows"}


async def asked(world: World) -> httpx.AsyncClient:
    """Return a client of the route; who uses it is ann, unless he says otherwise."""
    settings = world.settings.model_copy(update={"operator_token": SecretStr("only-ann-knows")})

    def lifespan(_: FastAPI) -> nullcontext[None]:
        return nullcontext()

    app = bare_app("coordinator", lifespan, is_open=lambda: True, always=())
    app.include_router(message_routes([TRIP], bus=world.wire().bus, settings=settings))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop", headers=ANN)


@in_virtual_time
async def test_every_event_of_a_history_is_shown_whole() -> None:
    """What participants said, what the coordinator asked and what it announced."""
    world = World()
    for event in (TripBooked(nights=1), RoomHeld(nights=1, card="good")):
        world.tell(event, "one", id=event.type_name())
    world.tell(NoRoomLeft(reason="<b>full</b>"), "two", id="refused")
    world.tell(TripBooked(nights=99), "two", id="booked")
    await world.work(world.coordinator(TRIP))
    client = await asked(world)

    for saga_id in ("one", "two"):
        for note in world.history(saga_id):
            answer = await client.get(f"/api/v1/sagas/{saga_id}/history/{note['id']}")
            assert answer.status_code == 200, note
            message = answer.json()["message"]
            assert (message["id"], message["type"], message["correlationid"]) == (note["id"], note["type"], saga_id)
    refused = (await client.get("/api/v1/sagas/two/history/refused")).json()
    assert refused["message"]["data"] == '{"reason":"<b>full</b>"}'


@in_virtual_time
async def test_personal_data_is_shown_to_those_who_ask_for_it() -> None:
    world = World()
    world.tell(TripBooked(nights=1), "one", id="booked")
    world.tell(NoRoomLeft(reason="ada@example.com paid with 4111 1111 1111 1111"), "one", id="refused")
    await world.work(world.coordinator(TRIP))
    client = await asked(world)
    place = "/api/v1/sagas/one/history/refused"

    shown = [(await client.get(f"{place}{asking}")).json()["message"]["data"] for asking in ("", "?unmasked=true")]

    assert shown == [
        '{"reason":"*** paid with ***"}', '{"reason":"ada@example.com paid with 4111 1111 1111 1111"}',
    ]  # fmt: skip


@in_virtual_time
async def test_an_event_that_is_not_kept_or_never_was_is_not_found() -> None:
    world = World()
    world.tell(TripBooked(nights=1), "one", id="booked")
    await world.work(world.coordinator(TRIP))
    client = await asked(world)
    world.server.call("DEL", world.keys.of("desk").events("TripBooked"))

    answers = [
        (await client.get(f"/api/v1/sagas/{path}")).status_code
        for path in ("one/history/booked", "one/history/nothing", "nobody/history/booked")
    ]

    assert answers == [404, 404, 404]


ELSEWHERE = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://elsewhere.example"},
    {"Origin": "null"},
)
HERE = ({"Sec-Fetch-Site": "same-origin", "Origin": "http://shop"}, {"Origin": "http://shop"}, {})


@in_virtual_time
async def test_operators_act_from_pages_of_this_site_only() -> None:
    """Whatever token a page of another site has got hold of, a browser tells whose page asks."""
    client = await asked(World())

    refused = [await client.get("/api/v1/sagas/nobody/history/x", headers=headers) for headers in ELSEWHERE]
    heard = [await client.get("/api/v1/sagas/nobody/history/x", headers=headers) for headers in HERE]

    assert {answer.status_code for answer in refused} == {403}
    assert {answer.status_code for answer in heard} == {404}
