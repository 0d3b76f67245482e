"""The requests and answers of repairs. Pure; owns their shape."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sagastream.answers import Answer, Moment, instant
from sagastream.coordinator import examples, views
from sagastream.coordinator.listing import Stored
from sagastream.coordinator.records import Record
from sagastream.coordinator.repair import Repaired
from sagastream.coordinator.trail import Entry
from sagastream.coordinator.views import SagaView
from sagastream.masking import masked
from sagastream.saga.attention import Effect
from sagastream.saga.repair import Act

ActorName = Annotated[str, Field(pattern=r"^[!-~]([ -~]{0,62}[!-~])?$", examples=["ann"])]
# A statement becomes part of the saga, which anybody may read and webhooks send outside, so it is masked on receipt.
Reason = Annotated[
    str,
    Field(min_length=1, max_length=500, pattern=r"\S", examples=["the card company is reachable again"]),
    AfterValidator(masked),
]
Evidence = Annotated[str, Field(max_length=1000), AfterValidator(masked)]


class RepairRequest(BaseModel):
    """Why something is done, and by whom unless the header ``X-Operator`` names the operator."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"actor": "ann", "reason": "the card company is reachable again"}]},
    )

    reason: Reason
    actor: ActorName | None = None


class ResolveRequest(RepairRequest):
    """What was found out about a step, and how it is known."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "actor": "ann",
                    "reason": "the card company has lost the payment",
                    "step": "charge payment",
                    "effect": "undone",
                    "evidence": "their statement of 2026-01-31, ticket 4711",
                }
            ]
        },
    )

    step: str = Field(min_length=1, max_length=200)
    effect: Effect
    evidence: Evidence = Field(min_length=1, pattern=r"\S")


class TraceView(Answer):
    """One entry of the audit trail: who did what, why, and what it led to."""

    at: Moment
    id: str
    action: str
    actor: str
    reason: str
    told: str
    saga_id: str | None = None
    business_process: str | None = None
    before: str | None = None
    after: str | None = None
    step: str | None = None
    effect: str | None = None
    evidence: str | None = None
    letter: str | None = None
    repair: str | None = None


class TrailView(Answer):
    """Entries of the audit trail, the newest first; ``next`` is the cursor of the next page, null at the end."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.TRAIL]})

    entries: list[TraceView]
    next: str | None


class RepairedView(Answer):
    """What an action led to. ``id`` is that of its note in the history, null if nothing was changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.REPAIRED]})

    saga_id: str
    action: Act
    actor: str
    id: str | None
    changed: bool
    told: str = Field(description="what happens now, or why nothing does, for people")
    saga: SagaView


def traced(entry: Entry) -> TraceView:
    """Return the view of an entry of the audit trail."""
    told = dict(entry.fields)
    required = {name: told.pop(name, "") for name in ("id", "action", "actor", "reason", "told")}
    names = {"saga": "saga_id", "process": "business_process"}
    return TraceView(
        at=instant(entry.at_ms), **required, **{names.get(name, name): value for name, value in told.items()}
    )


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
