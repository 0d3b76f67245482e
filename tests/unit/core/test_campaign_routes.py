"""Repairs of many sagas as operators ask for them: told beforehand, begun, looked at, stopped."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from sagastream.coordinator.campaign_api import campaign_routes
from sagastream.event import StepBarred, StepGaveUp
from sagastream.service import bare_app
from tests.trip import TRIP, CardCharged, RoomHeld, TripBooked
from tests.unit.core.world import World, in_virtual_time

ANN = {"Authorization": "Bearer only-ann-knows", "X-Operator": "ann"}
WHAT = {"action": "retry", "filter": {"status": "NeedsAttention"}, "reason": "the bank is open again"}


async def with_two_stuck() -> tuple[World, httpx.AsyncClient]:
    """Return a world where the refunds of two sagas gave up, and a client of its routes."""
    world = World()
    for saga_id in ("one", "two"):
        for event in (TripBooked(nights=1), RoomHeld(nights=1, card="good"), CardCharged(nights=1)):
            world.tell(event, saga_id, id=f"{event.type_name()}-{saga_id}")
        gave_up = StepGaveUp(step="CardCharged", undoing=True, reason="closed", attempts=3)
        for by, told in (("desk", StepBarred(step="TripConfirmed")), ("bank", gave_up)):
            world.append(by, told.type_name(), world.fields(told, saga_id, f"{told.type_name()}-{saga_id}"))
    await world.work(world.coordinator(TRIP))
    settings = world.settings.model_copy(update={"operator_token": SecretStr("only-ann-knows")})

    def lifespan(_: FastAPI) -> nullcontext[None]:
        return nullcontext()

    app = bare_app("coordinator", lifespan, is_open=lambda: True, always=())
    app.include_router(campaign_routes([TRIP], bus=world.wire().bus, settings=settings))
    return world, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop", headers=ANN)


@in_virtual_time
async def test_a_preview_tells_what_would_be_done_and_does_nothing() -> None:
    world, client = await with_two_stuck()
    before = world.history("one")

    told = (await client.post("/api/v1/repairs/preview", json=WHAT)).json()

    assert (told["action"], told["count"], told["exact"]) == ("retry", 2, True)
    assert {each["sagaId"] for each in told["sample"]} == {"one", "two"}
    assert world.history("one") == before
    assert (await client.get("/api/v1/repairs")).json() == []


@in_virtual_time
async def test_a_repair_is_begun_looked_at_and_stopped() -> None:
    """Nobody drives it here, so it stays where it is until it is stopped."""
    _, client = await with_two_stuck()

    begun = await client.post("/api/v1/repairs", json={**WHAT, "atMost": 2})
    repair_id = begun.json()["id"]
    shown = (await client.get(f"/api/v1/repairs/{repair_id}")).json()
    listed = (await client.get("/api/v1/repairs")).json()
    stopped = await client.post(f"/api/v1/repairs/{repair_id}/stop", json={"reason": "it does not help"})

    assert (begun.status_code, begun.headers["location"]) == (202, f"/api/v1/repairs/{repair_id}")
    assert [each["id"] for each in listed] == [repair_id] == [shown["id"]]
    assert (shown["state"], stopped.json()["state"]) == ("running", "stopped")


@in_virtual_time
async def test_what_is_asked_about_many_sagas_is_never_guessed_from_another_type() -> None:
    _, client = await with_two_stuck()
    wrong: list[dict[str, object]] = [
        {"stopAtErrorRate": False}, {"perSecond": True}, {"atMost": "2"},
        {"filter": {"stuck": 0}}, {"filter": {"olderThan": "300"}},
    ]  # fmt: skip

    answers = [await client.post("/api/v1/repairs", json={**WHAT, "atMost": 2, **each}) for each in wrong]

    assert [answer.status_code for answer in answers] == [422] * len(wrong)


@in_virtual_time
async def test_sagas_that_began_later_than_was_said_are_none_of_a_repair() -> None:
    """Both began ten minutes ago; of how old they must be and until when they began, what leaves fewer counts."""
    world, client = await with_two_stuck()
    began = datetime.fromtimestamp(world.now_ms() / 1000, UTC)
    await asyncio.sleep(600)
    before, after = ((began + timedelta(seconds=by)).isoformat() for by in (-60, 60))
    wanted: dict[int, list[dict[str, object]]] = {
        2: [{"olderThan": 590}, {"to": after}, {"olderThan": 590, "to": after}],
        0: [{"olderThan": 610}, {"to": before}, {"olderThan": 610, "to": after}, {"olderThan": 590, "to": before}],
    }

    for count, filters in wanted.items():
        for within in filters:
            told = await client.post("/api/v1/repairs/preview", json={**WHAT, "filter": within})
            assert (within, told.json()["count"]) == (within, count)


@in_virtual_time
async def test_nothing_is_stated_of_many_sagas_on_evidence_that_says_nothing() -> None:
    _, client = await with_two_stuck()
    stated = {**WHAT, "action": "resolve", "step": "charge card", "effect": "undone"}

    answers = [
        await client.post("/api/v1/repairs/preview", json={**stated, "evidence": evidence})
        for evidence in ("", "  ", "their statement of today")
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 200]


@in_virtual_time
async def test_a_repair_that_is_not_known_and_one_nobody_may_begin() -> None:
    _, client = await with_two_stuck()

    unknown = await client.post("/api/v1/repairs/00f1c2d3a4b5c6d7/stop", json={"reason": "why not"})
    stranger = await client.post("/api/v1/repairs", json={**WHAT, "atMost": 2}, headers={"Authorization": "Bearer no"})

    assert (unknown.status_code, stranger.status_code) == (404, 401)
    assert (await client.get("/api/v1/repairs")).json() == []
