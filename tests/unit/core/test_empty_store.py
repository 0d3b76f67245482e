"""A store in which no saga ever began: whoever looks for one finds none."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from sagastream.coordinator.api import saga_routes
from sagastream.coordinator.campaign_api import campaign_routes
from sagastream.coordinator.repair_api import repair_routes
from sagastream.service import bare_app
from tests.trip import TRIP
from tests.unit.core.world import World, in_virtual_time

TOKEN = "only-ann-knows-it"
ANN = {"Authorization": f"Bearer {TOKEN}", "X-Operator": "ann"}


def client() -> httpx.AsyncClient:
    """Return a client of a coordinator's routes."""

    def lifespan(_: FastAPI) -> nullcontext[None]:
        return nullcontext()

    world = World()
    settings = world.settings.model_copy(update={"operator_token": SecretStr(TOKEN)})
    app = bare_app("coordinator", lifespan, is_open=lambda: True, always=())
    for routes in (saga_routes, repair_routes, campaign_routes):
        app.include_router(routes([TRIP], bus=world.wire().bus, settings=settings))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop", headers=ANN)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"status": "Completed"},
        {"status": "Started", "initiatorId": "ann"},
        {"unfinished": "true"},
        {"stuck": "true", "order": "oldest"},
        {"step": "hold room"},
    ],
)
@in_virtual_time
async def test_no_saga_is_found_by_any_filter(query: Mapping[str, str]) -> None:
    """The first page of the console asks for what is stuck before anything ever began."""
    asked = client()

    found = await asked.get("/api/v1/sagas", params=query)
    listed = await asked.get("/api/choreographedsaga/states", params={**query, "status": "Completed"})

    assert (found.status_code, found.json()) == (200, {"sagas": [], "next": None})
    assert (listed.status_code, listed.json()) == (200, {"sagas": [], "next": None})


@in_virtual_time
async def test_a_repair_would_visit_none() -> None:
    body = {"action": "retry", "reason": "to see", "filter": {"status": "NeedsAttention"}}

    told = await client().post("/api/v1/repairs/preview", json=body)

    assert (told.status_code, told.json()["count"], told.json()["exact"]) == (200, 0, True)
