"""The v1 routes of sagas: find them, show one whole, and let operators repair it. Speaks HTTP; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from sagastream.admission import NOT_ADMITTED, Actor, Admission
from sagastream.bus import Bus
from sagastream.clock import server_ms
from sagastream.coordinator import trail, views
from sagastream.coordinator.api import NO_SAGA, OfInitiator, OfProcess, OfSaga, OfStatus, SagaId
from sagastream.coordinator.finding import Finding, Search
from sagastream.coordinator.instant import Instant
from sagastream.coordinator.listing import Filter, Listing
from sagastream.coordinator.records import Records
from sagastream.coordinator.repair import Repairs
from sagastream.coordinator.repair_views import (
    RepairedView,
    RepairRequest,
    ResolveRequest,
    TrailView,
    repaired,
    traced,
)
from sagastream.coordinator.showing import Showing
from sagastream.coordinator.views import PageView, StateView
from sagastream.documented import problems
from sagastream.errors import Undecodable
from sagastream.keys import COORDINATOR, Keys
from sagastream.pages import Cursor, Position
from sagastream.problems import Problem, invalid, no_such_saga
from sagastream.reader import Reader
from sagastream.saga.definition import Saga
from sagastream.saga.repair import Act, Action
from sagastream.settings import Settings

PREFIX = "/api/v1/sagas"
_ACTED = {**NOT_ADMITTED, **NO_SAGA, 409: "The saga has ended, or is past the point up to which this can be done"}
TrailCursor = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,14}-[0-9]{1,10}$")]
Age = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]


def repair_routes(sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> APIRouter:
    """Return the routes that find and repair sagas of these tables."""
    showing = Showing(sagas, bus=bus, settings=settings)
    finding = Finding(sagas, Listing(Records(bus, Keys(settings.key_prefix, COORDINATOR))))
    repairs = Repairs(sagas, bus=bus, settings=settings)
    admission = Admission(settings)
    router = APIRouter(prefix=PREFIX, tags=["repair"])

    @router.get("", operation_id="findSagas", responses=problems({}))
    async def find(
        status: OfStatus = None,
        business_process: OfProcess = None,
        initiator_id: OfInitiator = None,
        from_: Annotated[Instant | None, Query(alias="from", description="begun at this instant or later")] = None,
        to: Annotated[Instant | None, Query(description="begun at this instant or earlier")] = None,
        older_than: Annotated[Age | None, Query(alias="olderThan", description="begun so many seconds ago")] = None,
        step: Annotated[str | None, Query(min_length=1, max_length=200, description="the step it waits at")] = None,
        stuck: Annotated[bool | None, Query(description="whether it fails to move as it should")] = None,
        why: Annotated[str | None, Query(min_length=1, max_length=200, description="words of its reason")] = None,
        id_: Annotated[
            str | None,
            Query(alias="id", pattern=r"^[!-~]{1,256}$", description="what its id or its initiator's begins with"),
        ] = None,
        unfinished: Annotated[bool, Query(description="only those that have not ended")] = False,
        order: Annotated[Literal["newest", "oldest"], Query(description="which come first")] = "newest",
        cursor: Annotated[Cursor | None, Query(description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="how many at most")] = 50,
    ) -> PageView:
        """Find sagas, in the order of their start."""
        now_ms = await server_ms(bus.query)
        if older_than is not None:
            to = min(now_ms - int(older_than * 1000), to if to is not None else now_ms)
        within = Filter(status, business_process, initiator_id, from_, to, is_unfinished=unfinished)
        search = Search(within, step, stuck, why, id_)
        after = Position.of(cursor) if cursor is not None else None
        page = await finding.page(search, after, limit, now_ms, oldest_first=order == "oldest")
        return views.page(page, finding.meanings.table)

    @router.get("/{sagaId}", operation_id="showSaga", responses=problems(NO_SAGA, may_come=True))
    async def show(saga_id: SagaId) -> StateView:
        """Show one saga: its steps, whom it waits for, what fails or is open, and its whole history."""
        found = await showing.whole(saga_id)
        if found is None:
            raise no_such_saga(*await showing.missing(saga_id))
        return found[1]

    async def act(saga_id: str, action: Action, response: Response) -> RepairedView:
        try:
            done = await repairs.act(saga_id, action)
        except Undecodable as error:
            raise Problem(409, str(error)) from None
        if done is None:
            raise no_such_saga(*await showing.missing(saga_id))
        if done.verdict.refused is not None:
            extras = {"because": str(done.verdict.refused), "sagaStatus": done.record.status}
            raise Problem(409, f"saga {saga_id}: {done.verdict.told}", extras=extras)
        told = repaired(done, action.act, action.actor)
        response.status_code = 200 if not told.changed or told.saga.status.is_end else 202
        return told

    for_operators = [Depends(admission.operator)]
    acted = {
        **problems(_ACTED, takes_body=True, may_come=True),
        200: {"model": RepairedView, "description": "Nothing was to be changed, or the saga has ended by it"},
    }

    @router.post(
        "/{sagaId}/compensate",
        operation_id="compensateSaga",
        status_code=202,
        dependencies=for_operators,
        responses=acted,
    )
    async def compensate(
        saga_id: SagaId, asked: RepairRequest, response: Response, operator: Actor = None
    ) -> RepairedView:
        """Compensate a saga, unless its pivot is done: then it goes on forward, and the answer is 409."""
        return await act(saga_id, Action(Act.COMPENSATE, actor(asked.actor, operator), asked.reason), response)

    @router.post(
        "/{sagaId}/retry", operation_id="retrySaga", status_code=202, dependencies=for_operators, responses=acted
    )
    async def retry(saga_id: SagaId, asked: RepairRequest, response: Response, operator: Actor = None) -> RepairedView:
        """Repeat every open request at once; nothing takes effect a second time."""
        return await act(saga_id, Action(Act.RETRY, actor(asked.actor, operator), asked.reason), response)

    @router.post(
        "/{sagaId}/resolve", operation_id="resolveStep", status_code=202, dependencies=for_operators, responses=acted
    )
    async def resolve(
        saga_id: SagaId, asked: ResolveRequest, response: Response, operator: Actor = None
    ) -> RepairedView:
        """State what is true of an open step, on evidence; `stateable` lists what may be stated about each step."""
        action = Action(
            Act.RESOLVE, actor(asked.actor, operator), asked.reason, asked.step, asked.effect, asked.evidence
        )
        return await act(saga_id, action, response)

    @router.post(
        "/{sagaId}/abort", operation_id="abortSaga", status_code=202, dependencies=for_operators, responses=acted
    )
    async def abort(saga_id: SagaId, asked: RepairRequest, response: Response, operator: Actor = None) -> RepairedView:
        """Close a saga as it stands, with what it leaves open; what services have begun goes on and is not undone."""
        return await act(saga_id, Action(Act.ABORT, actor(asked.actor, operator), asked.reason), response)

    return router


def trail_routes(*, bus: Bus, settings: Settings) -> APIRouter:
    """Return the route that shows the audit trail."""
    reader = Reader(bus.query, Keys(settings.key_prefix, COORDINATOR))
    router = APIRouter(prefix="/api/v1/audit", tags=["repair"], dependencies=[Depends(Admission(settings).operator)])

    @router.get("", operation_id="listAuditTrail", responses=problems(NOT_ADMITTED))
    async def read(
        saga_id: OfSaga = None,
        by: Annotated[str | None, Query(alias="actor", min_length=1, max_length=64, description="who did it")] = None,
        action: Annotated[
            str | None, Query(min_length=1, max_length=64, description="what was done", examples=["retry"])
        ] = None,
        cursor: Annotated[TrailCursor | None, Query(description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="how many at most")] = 50,
    ) -> TrailView:
        """Show who did what to which saga and why, the newest first."""
        found, following = await trail.entries(reader, trail.Trace(saga_id, by, action), cursor, limit)
        return TrailView(entries=[traced(entry) for entry in found], next=following)

    return router


def actor(in_body: str | None, in_header: str | None) -> str:
    """Return who acts.

    Raises: ``Problem`` 422 if neither body nor header says so.
    """
    told = in_body or in_header
    if told is None:
        raise invalid(("actor", "say who does it, here or in the header X-Operator"))
    return told
