"""The route that shows operators one event of a saga as it was sent. Speaks HTTP; decides nothing.

Events hold what customers sent, so only operators may see them, and e-mail addresses and card numbers are masked unless
asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import ConfigDict, Field

from sagastream.admission import NOT_ADMITTED, Admission
from sagastream.answers import Answer
from sagastream.bus import Bus
from sagastream.coordinator import examples
from sagastream.coordinator.api import SagaId
from sagastream.coordinator.messages import Messages
from sagastream.documented import problems
from sagastream.masking import legible, masked_message
from sagastream.problems import Problem
from sagastream.saga.definition import Saga
from sagastream.settings import Settings

EventId = Annotated[str, Path(alias="eventId", pattern=r"^[!-~]{1,64}$", examples=["9875ada24959509786963e93cd2b4098"])]

Unmasked = Annotated[bool, Query(description="with e-mail addresses and card numbers as they were sent")]


class MessageView(Answer):
    """One event as it was sent."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.MESSAGE]})

    entry: str = Field(description="where it lies on its stream")
    message: dict[str, str] = Field(description="the event's fields as they came, its payload in `data`")


def message_routes(sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> APIRouter:
    """Return the route that shows one event of the sagas of these tables."""
    messages = Messages(sagas, bus=bus, key_prefix=settings.key_prefix)
    operators = [Depends(Admission(settings).operator)]
    router = APIRouter(prefix="/api/v1/sagas", tags=["repair"], dependencies=operators)

    @router.get(
        "/{sagaId}/history/{eventId}",
        operation_id="showEvent",
        responses=problems({**NOT_ADMITTED, 404: "No such event, or it is not kept any more"}),
    )
    async def show(saga_id: SagaId, event_id: EventId, unmasked: Unmasked = False) -> MessageView:
        """Show one whole event of a saga's history: its payload, its cause, its trace."""
        found = await messages.find(saga_id, event_id)
        if found is None:
            raise Problem(404, f"no stream keeps event {event_id} of saga {saga_id} any more")
        entry, fields = found
        message = fields if unmasked else masked_message(fields)
        return MessageView(entry=entry, message={legible(name): legible(text) for name, text in message.items()})

    return router
