"""The routes that show anybody where sagas stand. Speaks HTTP; knows tables, never what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.openapi.models import Example

from sagastream.bus import Bus
from sagastream.coordinator import measures, statistics, views
from sagastream.coordinator.examples import SAGA_ID
from sagastream.coordinator.figures import Figures
from sagastream.coordinator.instant import Instant
from sagastream.coordinator.listing import Filter, Listing
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.measures import Family
from sagastream.coordinator.records import Records
from sagastream.coordinator.showing import Showing
from sagastream.coordinator.statistics import StatisticsView
from sagastream.coordinator.views import PageView, StateView
from sagastream.coordinator.window import Window
from sagastream.documented import problems
from sagastream.keys import COORDINATOR, Keys
from sagastream.pages import Cursor, Position
from sagastream.problems import no_such_saga
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings

PREFIX = "/api/choreographedsaga"
_WINDOW = "how far back from now: an ISO 8601 duration or seconds, from PT1M to P30D; all time if not told"
_WINDOWS: dict[str, Example] = {
    "all": {"summary": "all time", "value": None},
    "hour": {"summary": "the last hour", "value": "PT1H"},
    "week": {"summary": "the last week", "value": "P7D"},
    "seconds": {"summary": "the last ten minutes", "value": 600},
}
SagaId = Annotated[str, Path(alias="sagaId", pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=[SAGA_ID])]
OfSaga = Annotated[
    str | None,
    Query(alias="sagaId", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="only of this saga", examples=[SAGA_ID]),
]
OfStatus = Annotated[Status | None, Query(description="only those that stand so")]
OfProcess = Annotated[
    str | None,
    Query(
        alias="businessProcess",
        pattern=r"^[a-z][a-z0-9_-]{0,63}$",
        description="only those of this table",
        examples=["order"],
    ),
]
OfInitiator = Annotated[
    str | None,
    Query(
        alias="initiatorId",
        min_length=1,
        max_length=256,
        description="only those begun for this one, such as a customer",
        examples=["customer-1"],
    ),
]
NO_SAGA = {404: "No such saga; with `Retry-After`: none yet, the coordinator may not have read that it began"}


def saga_routes(sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> APIRouter:
    """Return the routes that show the sagas of these tables."""
    meanings = Meanings(sagas)
    listing = Listing(Records(bus, Keys(settings.key_prefix, COORDINATOR)))
    showing = Showing(sagas, bus=bus, settings=settings)
    figures = Figures(sagas, bus=bus, settings=settings)
    router = APIRouter(prefix=PREFIX, tags=["sagas"])

    @router.get("/states", operation_id="listSagas", responses=problems({}))
    async def states(
        status: OfStatus = None,
        business_process: OfProcess = None,
        initiator_id: OfInitiator = None,
        from_: Annotated[Instant | None, Query(alias="from", description="begun at this instant or later")] = None,
        to: Annotated[Instant | None, Query(description="begun at this instant or earlier")] = None,
        cursor: Annotated[Cursor | None, Query(description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="how many at most")] = 50,
    ) -> PageView:
        """List sagas, the newest first."""
        wanted = Filter(status, business_process, initiator_id, from_, to)
        after = Position.of(cursor) if cursor is not None else None
        return views.page(await listing.page(wanted, after, limit), meanings.table)

    @router.get("/state/{sagaId}", operation_id="getSaga", responses=problems(NO_SAGA, may_come=True))
    async def state(saga_id: SagaId) -> StateView:
        """Show one saga: its steps, whom it waits for, what fails, and its whole history."""
        found = await showing.whole(saga_id)
        if found is None:
            raise no_such_saga(*await showing.missing(saga_id))
        return found[1]

    @router.get("/statistics", operation_id="getSagaStatistics", responses=problems({}))
    async def statistics_(
        window: Annotated[Window | None, Query(description=_WINDOW, openapi_examples=_WINDOWS)] = None,
    ) -> StatisticsView:
        """Show the totals of all sagas, over all time or over a window up to now."""
        fleet = await figures.fleet()
        if window is None:
            return statistics.statistics(fleet, sagas)
        then = await figures.before(fleet.now_ms - window // timedelta(milliseconds=1))
        return statistics.statistics_since(fleet, then, sagas)

    @router.get("/metrics", operation_id="getSagaMetrics", response_model_exclude_none=True, responses=problems())
    async def metrics() -> dict[str, Family]:
        """Show the exported metrics of sagas as JSON."""
        return measures.families(await figures.read())

    return router
