"""The route that shows anybody who reads which stream, and how far. Speaks HTTP; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from sagastream.bus import Bus
from sagastream.coordinator.readers import read_streams
from sagastream.coordinator.stream_views import StreamsView, shown
from sagastream.documented import problems
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.definition import Saga
from sagastream.settings import Settings


def stream_routes(sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> APIRouter:
    """Return the route that shows the streams of these tables."""
    keys = Keys(settings.key_prefix, COORDINATOR)
    router = APIRouter(prefix="/api/v1/streams", tags=["streams"])

    @router.get("", operation_id="listStreams", responses=problems({}))
    async def list_() -> StreamsView:
        """Show every stream with its groups: what each has not read, what it has not settled, and since when."""
        return shown(*await read_streams(bus.query, keys, sagas))

    return router
