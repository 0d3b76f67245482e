"""The views of tables. Pure: a definition in, an answer out."""

from __future__ import annotations

from datetime import timedelta

from pydantic import ConfigDict, Field

from sagastream.answers import Answer
from sagastream.coordinator import examples
from sagastream.event import Event
from sagastream.saga.definition import Saga

_MS = timedelta(milliseconds=1)


class StepDefinition(Answer):
    """One step of a table: the participant that performs it, and the events that report it done, refused and undone."""

    name: str
    service: str
    done: str
    refused: str | None
    undone: str | None
    pivot: bool
    within_ms: int


class DefinitionView(Answer):
    """A table: the steps of a saga in their order. ``withinMs`` limits the whole time to the pivot."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.DEFINITION]})

    business_process: str
    version: int
    begun_by: str
    begins_with: str
    cancelled_by: str | None
    cancellation: str | None
    within_ms: int | None = Field(description="null: only its steps are bounded")
    steps: list[StepDefinition]


def defined(saga: Saga) -> DefinitionView:
    """Return the view of a table."""
    return DefinitionView(
        business_process=saga.name,
        version=saga.version,
        begun_by=saga.begun_by,
        begins_with=saga.begins_with.type_name(),
        cancelled_by=_name(saga.cancelled_by),
        cancellation=_name(saga.cancellation),
        within_ms=saga.within // _MS if saga.within is not None else None,
        steps=[
            StepDefinition(
                name=step.name,
                service=step.by,
                done=step.done.type_name(),
                refused=_name(step.refused),
                undone=_name(step.undone),
                pivot=step.pivot,
                within_ms=step.within // _MS,
            )
            for step in saga.steps
        ],
    )


def _name(kind: type[Event] | None) -> str | None:
    return kind.type_name() if kind is not None else None
