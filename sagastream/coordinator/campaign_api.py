"""The routes by which operators repair many sagas: preview, begin, look, stop. Speaks HTTP; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from sagastream.admission import NOT_ADMITTED, Actor, Admission
from sagastream.bus import Bus
from sagastream.clock import server_ms
from sagastream.coordinator import views
from sagastream.coordinator.campaign import Campaign, Plan
from sagastream.coordinator.campaign_views import (
    CampaignRequest,
    CampaignView,
    PreviewRequest,
    PreviewView,
    Sample,
    StopRequest,
    shown,
)
from sagastream.coordinator.campaigns import Campaigns, Preview
from sagastream.coordinator.repair_api import actor
from sagastream.documented import located, problems
from sagastream.problems import Problem
from sagastream.saga.definition import Saga
from sagastream.settings import Settings

PREFIX = "/api/v1/repairs"
CampaignId = Annotated[str, Path(alias="repairId", pattern=r"^[0-9a-f]{16}$", examples=["00f1c2d3a4b5c6d7"])]
_NONE = {**NOT_ADMITTED, 404: "No such repair"}


def campaign_routes(sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> APIRouter:
    """Return the routes for repairs of many sagas of these tables."""
    campaigns = Campaigns(sagas, bus=bus, settings=settings)
    router = APIRouter(prefix=PREFIX, tags=["repair"], dependencies=[Depends(Admission(settings).operator)])

    def told(campaign: Campaign | None, id: str) -> CampaignView:
        if campaign is None:
            raise Problem(404, f"there is no repair {id}")
        return shown(campaign)

    @router.post("/preview", operation_id="previewRepair", responses=problems(NOT_ADMITTED, takes_body=True))
    async def preview(asked: PreviewRequest, operator: Actor = None) -> PreviewView:
        """Count the sagas that a repair would visit, and show for some what it would lead to. Changes nothing."""
        search = asked.filter.search(await server_ms(bus.query))
        found = await campaigns.preview(asked.wanted(actor(asked.actor, operator)), search)
        return PreviewView(
            action=asked.action, count=found.count, exact=found.is_exact, sample=_sample(campaigns, found)
        )

    @router.post(
        "",
        operation_id="beginRepair",
        status_code=202,
        responses={**problems(NOT_ADMITTED, takes_body=True), 202: located("how far it has come")},
    )
    async def begin(asked: CampaignRequest, response: Response, operator: Actor = None) -> CampaignView:
        """Repair at most as many sagas as the preview counted, evenly paced, until too many fail."""
        now_ms = await server_ms(bus.query)
        action = asked.wanted(actor(asked.actor, operator))
        plan = Plan(action, asked.filter.search(now_ms), asked.at_most, asked.per_second, asked.stop_at)
        campaign = await campaigns.begin(plan, now_ms)
        response.headers["Location"] = f"{PREFIX}/{campaign.id}"
        return shown(campaign)

    @router.get("", operation_id="listRepairs", responses=problems(NOT_ADMITTED))
    async def list_(
        limit: Annotated[int, Query(ge=1, le=200, description="how many at most")] = 50,
    ) -> list[CampaignView]:
        """List the most recent repairs of many sagas, the newest first."""
        return [shown(campaign) for campaign in await campaigns.latest(limit)]

    @router.get("/{repairId}", operation_id="showRepair", responses=problems(_NONE))
    async def show(repair_id: CampaignId) -> CampaignView:
        """Show how far a repair has come."""
        return told(await campaigns.find(repair_id), repair_id)

    @router.post("/{repairId}/stop", operation_id="stopRepair", responses=problems(_NONE, takes_body=True))
    async def stop(repair_id: CampaignId, asked: StopRequest, operator: Actor = None) -> CampaignView:
        """Stop a repair after its current saga; one that has ended stays as it is."""
        return told(await campaigns.stop(repair_id, actor(asked.actor, operator), asked.reason), repair_id)

    return router


def _sample(campaigns: Campaigns, found: Preview) -> list[Sample]:
    sample = []
    for stored, would, told in found.sample:
        view = views.glance(stored, campaigns.finding.table(stored))
        wait = view.waiting_for
        waits_for = f"{wait.who}: {wait.step or wait.what}" if wait is not None else None
        sample.append(
            Sample(saga_id=view.saga_id, waits_for=waits_for, why=view.failure_reason, would=would, told=told)
        )
    return sample
