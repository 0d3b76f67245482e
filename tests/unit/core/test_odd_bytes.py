"""Bytes that are no text, in an event that whoever reaches the store put there, hide nothing from anybody."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from sagastream.coordinator.api import saga_routes
from sagastream.coordinator.message_api import message_routes
from sagastream.coordinator.repair_api import repair_routes
from sagastream.live.feed import Changes
from sagastream.live.source import Source
from sagastream.service import bare_app
from tests.trip import TRIP, RoomHeld, TripBooked
from tests.unit.core.world import World, in_virtual_time

TOKEN = "only-ann-knows"


@pytest.mark.parametrize("attribute", ["initiatorid", "source", "subject", "dataschema", "causationid", "traceparent"])
@in_virtual_time
async def test_one_odd_event_hides_no_saga(attribute: str) -> None:
    """Neither from lists nor from who follows them; the odd saga itself is shown, too, and its event."""
    world = World()
    world.tell(TripBooked(nights=1), "odd", id="booked", **{attribute: "cust\udcff"})
    world.tell(RoomHeld(nights=1, card="good"), "odd", id="held", **{attribute: "cust\udcff"})
    world.tell(TripBooked(nights=1), "even", id="booked-too")
    await world.work(world.coordinator(TRIP))
    settings = world.settings.model_copy(update={"operator_token": SecretStr(TOKEN)})
    told: dict[str, Any] = {"bus": world.wire().bus, "settings": settings}

    def lifespan(_: FastAPI) -> nullcontext[None]:
        return nullcontext()

    app = bare_app("coordinator", lifespan, is_open=lambda: True, always=())
    for routes in (saga_routes, repair_routes, message_routes):
        app.include_router(routes([TRIP], **told))
    known = [saga_id for saga_id in ("even", "odd") if world.history(saga_id)]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        lists = [await client.get(path) for path in ("/api/v1/sagas", "/api/choreographedsaga/states")]
        shown = [await client.get(f"/api/v1/sagas/{saga_id}") for saga_id in known]
        notes = [note["id"] for note in world.history("odd")]
        whose = {"Authorization": f"Bearer {TOKEN}"}
        events = [await client.get(f"/api/v1/sagas/odd/history/{id_}", headers=whose) for id_ in notes]
    batch = await Source([TRIP], **told).batch(Changes("1-0", tuple(known)))

    assert "even" in known
    assert [sorted(saga["sagaId"] for saga in page.json()["sagas"]) for page in lists] == [known] * 2
    assert [answer.status_code for answer in shown] == [200] * len(known)
    assert {answer.status_code for answer in events} <= {200, 404}
    assert all(change.text for change in batch.changes.values())
