"""The route that shows the tables a coordinator knows. Speaks HTTP; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from sagastream.coordinator.definition_views import DefinitionView, defined
from sagastream.documented import problems
from sagastream.saga.definition import Saga


def definition_routes(sagas: Sequence[Saga]) -> APIRouter:
    """Return the route that shows these tables."""
    router = APIRouter(prefix="/api/v1/definitions", tags=["sagas"])

    @router.get("", operation_id="listDefinitions", responses=problems({}))
    async def list_() -> list[DefinitionView]:
        """Show every table known here: its steps with their participants, events and deadlines."""
        return [defined(saga) for saga in sagas]

    return router
