"""Events: frozen facts with a payload. Owns the base model; knows nothing of streams or envelopes."""

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

    Shape: the payload is one JSON object in camelCase. Unknown or missing fields are refused on both
    sides, so a field that must be optional says so with a default.
    ``by`` (given with the class: ``class StockReserved(Event, by="stock")``) is the participant that publishes it,
    and so which streams carry it. ``about`` names the field whose value becomes the CloudEvents ``subject``;
    without it the saga id does.

    Raises (when a class is made): ``DefinitionError`` for a field named like what every event has anyway.
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
        """Return the type as written in the envelope."""
        return cls.__name__

    def payload(self) -> str:
        """Return the payload as compact JSON."""
        return self.model_dump_json(by_alias=True)

    def subject(self, saga_id: str) -> str:
        """Return what the event is about, the saga itself unless ``about`` names a field."""
        return str(getattr(self, self.about)) if self.about else saga_id


class Refusal(Event):
    """A fact that says a step was refused; ``reason`` is for people and becomes the saga's failure reason."""

    reason: str


class StepBarred(Event):
    """A step that has not happened and now never will (``step`` is the event that would have said done)."""

    step: str


class StepGaveUp(Event):
    """A message for a step could not be handled and was buried.

    ``step`` is the event that would have said done; ``undoing`` tells which direction was attempted.
    """

    step: str
    undoing: bool
    reason: str
    attempts: int


class LedgerLost(Event):
    """A ledger was asked about a step it should know and does not (expired, or lost in a fail-over)."""

    step: str
    reason: str


class StepRequest(Event, by=COORDINATOR):
    """What the coordinator asks of one participant about one of its steps.

    ``step`` is the event that says done; ``seen`` is the id of that event if the coordinator saw it, and
    ``began`` the instant the saga began (epoch milliseconds), by which a ledger can tell *never* from *lost*.
    """

    step: str
    seen: str | None = None
    began: int | None = None


class UndoRequested(StepRequest):
    """The coordinator wants the step undone, or barred if it never happened."""


class BarRequested(StepRequest):
    """The coordinator wants the step forbidden for good, unless it is already done."""


class RetryRequested(StepRequest):
    """The coordinator wants a step that gave up to be tried again."""


REQUESTS: dict[str, type[StepRequest]] = {
    kind.type_name(): kind for kind in (UndoRequested, BarRequested, RetryRequested)
}
"""What the coordinator asks of participants, by type."""

LIBRARY_FACTS: tuple[type[Event], ...] = (StepBarred, StepGaveUp, LedgerLost)
"""What any participant may say about one of its steps, beside the events of the table."""


class SagaStarted(Event, by=COORDINATOR):
    """The coordinator saw the beginning of a saga."""


class SagaCompleted(Event, by=COORDINATOR):
    """Every step is done."""


class SagaFailed(Event, by=COORDINATOR):
    """The saga was turned back before any step had an effect; its beginning is closed."""

    reason: str


class SagaCompensationStarted(Event, by=COORDINATOR):
    """The saga was turned back and steps that happened, or may have, are being undone."""

    reason: str


class SagaCompensationCompleted(Event, by=COORDINATOR):
    """Every effect that happened, or may have, has a confirmed undo."""

    reason: str


class SagaNeedsAttention(Event, by=COORDINATOR):
    """The saga cannot end by itself for now; automatic retries go on at a capped pace."""

    reason: str


class SagaAborted(Event, by=COORDINATOR):
    """A person closed the saga; ``open_effects`` names what was left as it was."""

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
"""What coordinators say about the life of a saga."""
