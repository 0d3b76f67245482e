"""The routes that stream sagas live, as server-sent events. Speaks HTTP; decides nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Query, Response
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from sagastream.bus import Bus
from sagastream.coordinator.api import NO_SAGA, OfProcess, OfStatus, SagaId
from sagastream.coordinator.showing import Showing
from sagastream.coordinator.views import StateView
from sagastream.documented import problems
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.keys import COORDINATOR, Keys
from sagastream.live.feed import Feed
from sagastream.live.hub import Ended, Full, Hub
from sagastream.live.mailbox import Bell, Mailbox
from sagastream.live.messages import Batch, Wanted, frame, reset
from sagastream.live.source import Source
from sagastream.problems import no_such_saga, unavailable
from sagastream.saga.definition import Saga
from sagastream.settings import Settings

log = structlog.get_logger(__name__)

HEARTBEAT_S = 15
PATIENCE_S = 30  # for a client to accept a message
SOON = timedelta(seconds=1)  # a new client gets a first message within this time, if only that the store is away
_POSITION = re.compile(r"[1-9]\d{0,14}-\d{1,10}", re.ASCII)
_STREAM = "text/event-stream"
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=64, description="the `id` of the last message that came")
]
LastEventIdInQuery = Annotated[
    str | None,
    Query(alias="lastEventId", max_length=64, description="the same, for clients that cannot send the header"),
]


def live_routes(sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> APIRouter:
    """Return the routes that stream the sagas of these tables."""
    feed = Feed(bus, Keys(settings.key_prefix, COORDINATOR))
    source = Source(sagas, bus=bus, settings=settings)
    hub = Hub(feed, source, settings.live_clients)
    showing = Showing(sagas, bus=bus, settings=settings)
    router = APIRouter(prefix="/api/v1", tags=["live"])

    async def whole(saga_id: str) -> tuple[str, StateView] | None:
        found = await showing.whole(saga_id)
        return None if found is None else (str(found[0]), found[1])

    async def missed(after: str) -> Batch | None:
        """Return the changes after the last message of a returning client; None if they cannot be determined."""
        if not _POSITION.fullmatch(after):
            return None
        with suppress(ServerUnavailable, ReplyError):
            changes = await feed.since(after)
            return await source.batch(changes) if changes is not None else None
        return None

    async def sagas_as_they_go(wanted: Wanted, after: str | None) -> AsyncIterator[bytes]:
        mailbox = Mailbox(wanted)
        with suppress(Full, Ended), hub.joined(mailbox):
            while (position := await hub.position(within=SOON)) is None:
                for trouble in () if mailbox.is_empty else await mailbox.take():
                    yield trouble
            batch = await missed(after) if after is not None else None
            if batch is None:
                why = "this is new" if after is None else "it is not known what happened since the last message"
                yield reset(position, why)
            elif (message := batch.message(wanted)) is not None:
                yield message
            while not mailbox.is_ended:
                for message in await mailbox.take():
                    yield message

    async def saga_as_it_goes(saga_id: str, known: str | None) -> AsyncIterator[bytes]:
        bell = Bell(saga_id)
        with suppress(Full, Ended, ServerUnavailable, ReplyError), hub.joined(bell):
            await hub.position()
            while not bell.is_ended:
                found = await whole(saga_id)
                if found is None:
                    yield frame("gone", "{}")
                    return
                version, view = found
                if version != known:
                    yield frame("saga", view.model_dump_json(by_alias=True), version)
                    known = version
                if view.status.is_end:
                    return
                await bell.rung()

    def as_events(messages: AsyncIterator[bytes]) -> Response:
        return _Stream(messages, ping=HEARTBEAT_S, send_timeout=PATIENCE_S)

    def must_have_room() -> None:
        if hub.is_full:
            raise unavailable(f"{settings.live_clients} clients follow already; LIVE_CLIENTS bounds them")

    @router.get(
        "/events", operation_id="followSagas", response_class=EventSourceResponse,
        responses={**problems({}), **_streamed("`reset`, `sagas`, `figures` and `trouble`: docs/reference/live.md")},
    )  # fmt: skip
    async def follow(
        status: OfStatus = None,
        business_process: OfProcess = None,
        last_event_id: LastEventId = None,
        last_event_id_in_query: LastEventIdInQuery = None,
    ) -> Response:
        """Follow all sagas, or those of a filter, as server-sent events."""
        must_have_room()
        return as_events(sagas_as_they_go(Wanted(status, business_process), last_event_id or last_event_id_in_query))

    @router.get(
        "/sagas/{sagaId}/events", operation_id="followSaga", response_class=EventSourceResponse,
        responses={
            **problems(NO_SAGA, may_come=True),
            **_streamed("`saga` whenever it changed, until it has ended; `gone` once it is removed"),
            204: {"description": "The saga has ended, and the client knows"},
        },
    )  # fmt: skip
    async def follow_one(
        saga_id: SagaId, last_event_id: LastEventId = None, last_event_id_in_query: LastEventIdInQuery = None
    ) -> Response:
        """Follow one saga to its end, whole whenever it changed, as server-sent events."""
        must_have_room()
        known = last_event_id or last_event_id_in_query
        found = await whole(saga_id)
        if found is None:
            raise no_such_saga(*await showing.missing(saga_id))
        if found[1].status.is_end and found[0] == known:
            return Response(status_code=204)  # a browser does not reconnect after this status
        return as_events(saga_as_it_goes(saga_id, known))

    return router


class _Stream(EventSourceResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:  # a client that stops reading is not our error; the server closes the connection
            log.info("live.client_too_slow", path=scope["path"], patience_s=PATIENCE_S)


def _streamed(description: str) -> Mapping[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": {_STREAM: {"schema": {"type": "string"}}}}}
