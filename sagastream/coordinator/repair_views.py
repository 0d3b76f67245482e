"""What operators send and are answered. Pure; owns the shape of requests and answers about repairs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sagastream.coordinator import views
from sagastream.coordinator.listing import Stored
from sagastream.coordinator.records import Record
from sagastream.coordinator.repair import Repaired
from sagastream.coordinator.views import Answer, SagaView
from sagastream.saga.repair import Act

ActorName = Annotated[str, Field(pattern=r"^[!-~]([ -~]{0,62}[!-~])?$", examples=["ann"])]
Reason = Annotated[
    str, Field(min_length=1, max_length=500, pattern=r"\S", examples=["the card company is reachable again"])
]


class RepairRequest(BaseModel):
    """Why something is done, and by whom unless the header ``X-Operator`` says so."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"actor": "ann", "reason": "the card company is reachable again"}]},
    )

    reason: Reason
    actor: ActorName | None = None


class RepairedView(Answer):
    """What an action led to. ``id`` is that of its note in the history, null where nothing was changed."""

    saga_id: str
    action: Act
    actor: str
    id: str | None
    changed: bool
    told: str = Field(description="what happens now, or why nothing does, for people")
    saga: SagaView


def repaired(done: Repaired, action: Act, actor: str) -> RepairedView:
    """Return the answer to an action that was taken."""
    turn, record = done.verdict.turn, done.record
    if turn is not None:
        record = Record(turn.progress, turn.status, record.version + 1)
    ended_ms = record.progress.last_ms if turn is not None and turn.status.is_end else None
    return RepairedView(
        saga_id=record.progress.saga_id,
        action=action,
        actor=actor,
        id=done.id if turn is not None else None,
        changed=turn is not None,
        told=done.verdict.told,
        saga=views.glance(Stored(record, ended_ms), done.saga),
    )
