"""Events: frozen facts with a payload. Owns their base model; knows nothing of streams or envelopes."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from sagastream.errors import DefinitionError
from sagastream.keys import COORDINATOR

MAX_EVENT_BYTES = 64 * 1024
_OWN = frozenset({"by", "about", "schema_version", "type_name", "payload", "subject"})


class Event(BaseModel):
    """A fact in the past tense; the class name is its type on the wire.

    Shape: the payload is one JSON object in camelCase. Publisher and reader both refuse unknown and missing fields, so
    an optional field needs a default.
    ``by``, as in ``class StockReserved(Event, by="stock")``, is the participant that publishes the event, and so
    determines the streams that carry it. ``about`` names the field whose value becomes the CloudEvents ``subject``;
    by default the saga id does.

    Raises (when a class is defined): ``DefinitionError`` for a field named like an attribute that every event has.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        allow_inf_nan=False,
    )
    by: ClassVar[str] = ""
    about: ClassVar[str | None] = None
    schema_version: ClassVar[int] = 1

    def __init_subclass__(cls, *, by: str | None = None, **config: Unpack[ConfigDict]) -> None:
        super().__init_subclass__(**config)
        if by is not None:
            cls.by = by

    @classmethod
    def __pydantic_init_subclass__(cls, **config: Any) -> None:  # noqa: ANN401  # as pydantic declares it
        super().__pydantic_init_subclass__(**config)
        for name in sorted(_OWN & cls.model_fields.keys()):
            raise DefinitionError(
                f"{cls.__name__}: a field cannot be called {name!r}, every event has that itself; name it otherwise, "
                f'on the wire it may be called so: Field(alias="{to_camel(name)}")'
            )

    @classmethod
    def type_name(cls) -> str:
        """Return the event's type as the envelope names it."""
        return cls.__name__

    def payload(self) -> str:
        """Return the payload as compact JSON."""
        return self.model_dump_json(by_alias=True)

    def subject(self, saga_id: str) -> str:
        """Return the value of the field that ``about`` names, or the saga id if it names none."""
        return str(getattr(self, self.about)) if self.about else saga_id


class Refusal(Event):
    """The fact that a step was refused; ``reason`` is written for people and becomes the saga's failure reason."""

    reason: str


class StepBarred(Event):
    """A step has not happened and never will (``step`` is the event that would have said it is done)."""

    step: str


class StepGaveUp(Event):
    """A message for a step could not be handled and became a dead letter.

    ``step`` is the event that would have said the step is done; ``undoing`` tells whether its undo was attempted.
    """

    step: str
    undoing: bool
    reason: str
    attempts: int


class LedgerLost(Event):
    """A ledger was asked about a step it should know but does not: its entry expired or was lost in a fail-over."""

    step: str
    reason: str


class StepRequest(Event, by=COORDINATOR):
    """A request of the coordinator to one participant about one of its steps.

    ``step`` is the event that says the step is done; ``seen`` is the id of that event if the coordinator saw it.
    ``began`` is the instant the saga began (epoch milliseconds), by which a ledger distinguishes *never* from *lost*.
    """

    step: str
    seen: str | None = None
    began: int | None = None


class UndoRequested(StepRequest):
    """The coordinator requests that the step be undone, or barred if it never happened."""


class BarRequested(StepRequest):
    """The coordinator requests that the step be forbidden for good, unless it is already done."""


class RetryRequested(StepRequest):
    """The coordinator requests that a step that gave up be retried."""


REQUESTS: dict[str, type[StepRequest]] = {
    kind.type_name(): kind for kind in (UndoRequested, BarRequested, RetryRequested)
}
"""The coordinator's requests to participants, by type."""

LIBRARY_FACTS: tuple[type[Event], ...] = (StepBarred, StepGaveUp, LedgerLost)
"""The events that any participant may publish about one of its steps, besides those of the table."""


class SagaStarted(Event, by=COORDINATOR):
    """The coordinator saw a saga begin."""


class SagaCompleted(Event, by=COORDINATOR):
    """Every step is done."""


class SagaFailed(Event, by=COORDINATOR):
    """The saga ended before any step had an effect; its beginning is closed."""

    reason: str


class SagaCompensationStarted(Event, by=COORDINATOR):
    """The saga will not complete; the steps that happened, or may have happened, are being undone."""

    reason: str


class SagaCompensationCompleted(Event, by=COORDINATOR):
    """Every effect that happened, or may have happened, has a confirmed undo."""

    reason: str


class SagaNeedsAttention(Event, by=COORDINATOR):
    """The saga cannot end by itself for now; automatic retries go on at a capped pace."""

    reason: str


class SagaAborted(Event, by=COORDINATOR):
    """A person closed the saga; ``open_effects`` names the effects that were left as they were."""

    reason: str
    actor: str
    open_effects: tuple[str, ...]


LIFECYCLE: tuple[type[Event], ...] = (
    SagaStarted,
    SagaCompleted,
    SagaFailed,
    SagaCompensationStarted,
    SagaCompensationCompleted,
    SagaNeedsAttention,
    SagaAborted,
)
"""The events that coordinators publish about the life of a saga."""
