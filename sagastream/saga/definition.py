"""Saga definitions as tables. Owns their shape and rejects those that could not work; never runs a saga."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from sagastream.errors import DefinitionError
from sagastream.event import Event, Refusal

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
BEGINNING = "begin"  # the step name of the beginning


@dataclass(frozen=True)
class Step:
    """One effect in one service.

    ``by`` is the participant that performs it; ``done``, ``refused`` and ``undone`` are the events by which that
    participant reports the outcome; ``within`` is how long the step may take, counted from the end of the step before
    it. A ``pivot`` is the step after which the saga is driven forward and nothing is undone.
    """

    name: str
    by: str
    done: type[Event]
    within: timedelta
    refused: type[Event] | None = None
    undone: type[Event] | None = None
    pivot: bool = False


@dataclass(frozen=True)
class Saga:
    """The table of a business transaction: steps in the order they happen.

    ``begun_by`` publishes ``begins_with``; it defaults to the participant named by that event class. ``cancelled_by``
    reports that the beginning itself was undone. ``cancellation`` is an event by which ``begun_by`` asks for the saga
    to be compensated (``Entrance.bar`` publishes it). ``within`` limits the whole time to the pivot. ``patience`` is
    how long an unanswered request waits before it is repeated; the wait doubles each time. The version a saga began
    with governs it to its end.

    Raises: ``DefinitionError`` for a table that could not work.
    """

    name: str
    version: int
    begins_with: type[Event]
    steps: tuple[Step, ...]
    cancelled_by: type[Event] | None = None
    begun_by: str = ""
    cancellation: type[Event] | None = None
    within: timedelta | None = None
    patience: timedelta = field(default=timedelta(minutes=1))

    def __post_init__(self) -> None:
        for problem in self._misfits():
            raise DefinitionError(f"saga {self.name!r}: {problem}")
        if not self.steps:
            raise DefinitionError(f"saga {self.name!r} has no steps")
        if not self.begun_by:
            object.__setattr__(self, "begun_by", self.begins_with.by or self.steps[self.pivot_at or 0].by)
        for problem in self._problems():
            raise DefinitionError(f"saga {self.name!r}: {problem}")

    def _misfits(self) -> Iterator[str]:
        """Yield each value of the wrong type: nothing else checks types when a table is made."""
        if not isinstance(self.version, int):
            yield f"the version must be a whole number such as 1, got {self.version!r}"
        steps: object = self.steps
        if not isinstance(steps, tuple) or not all(isinstance(step, Step) for step in steps):
            yield f"steps must be a tuple of Step, with a comma also behind a single one, got {steps!r}"
        performers: dict[str, object] = {step.name: step.by for step in self.steps}
        for name, by in performers.items():
            if not isinstance(by, str):
                yield f"by of step {name!r} must be the name of a participant, such as 'hotel', not itself"
        kinds: Iterator[object] = self.event_types()
        for kind in kinds:
            if not isinstance(kind, type) or not issubclass(kind, Event):
                yield f"{kind!r} must be the class of an event"
        times: dict[str, object] = {f"within of step {step.name!r}": step.within for step in self.steps}
        times["patience"] = self.patience
        if self.within is not None:
            times["within"] = self.within
        for name, time in times.items():
            if not isinstance(time, timedelta):
                yield f"{name} must be a time such as timedelta(seconds=30), got {time!r}"

    def _problems(self) -> Iterator[str]:
        for by, kind in self._published():
            if kind is not None and kind.by != by:
                yield f"{kind.type_name()} is published by {kind.by or 'nobody'!r}, the table says {by!r}"
        if not _NAME.fullmatch(self.name) or self.version < 1:
            yield f"name and version must look like 'trip', 1; got {self.name!r}, {self.version}"
        if sum(step.pivot for step in self.steps) > 1:
            yield "more than one pivot"
        names = [step.name for step in self.steps]
        if len(set(names)) < len(names) or not all(names) or BEGINNING in names:
            yield f"step names must be present, different and not {BEGINNING!r}"
        for name in names:
            if "|" in name or not name.isprintable():
                yield f"step name {name!r} must be printable and without '|', for counters are named after it"
        types = [kind.type_name() for kind in self.event_types()]
        for name in {name for name in types if types.count(name) > 1}:
            yield f"event {name} has more than one meaning"
        if self.patience <= timedelta(0) or (self.within is not None and self.within <= timedelta(0)):
            yield "patience and within must be some time"
        for at, step in enumerate(self.steps):
            if not _NAME.fullmatch(step.by):
                yield f"participant {step.by!r} of step {step.name!r} must look like 'stock'"
            if step.within <= timedelta(0):
                yield f"step {step.name!r} must be given some time"
            if issubclass(step.done, Refusal):
                yield f"{step.done.type_name()} says that step {step.name!r} is done and must not be a Refusal"
            if step.refused is not None and not issubclass(step.refused, Refusal):
                yield f"{step.refused.type_name()} refuses step {step.name!r} and must be a Refusal"
            if step.undone is None and not self.is_after_pivot(at) and not step.pivot:
                yield f"step {step.name!r} comes before the pivot and needs an event that says undone"
            if step.undone is not None and (step.pivot or self.is_after_pivot(at)):
                yield f"step {step.name!r} is never undone, for it is not before the pivot"

    @cached_property
    def pivot_at(self) -> int | None:
        """Return the position of the pivot, or None."""
        return next((at for at, step in enumerate(self.steps) if step.pivot), None)

    @cached_property
    def pivot(self) -> str | None:
        """Return the name of the pivot, or None."""
        return self.steps[self.pivot_at].name if self.pivot_at is not None else None

    @cached_property
    def judged(self) -> dict[tuple[str, str], object]:
        """Return the cache where ``lifecycle`` keeps its judgements of sagas of this table, by question and shape."""
        return {}

    @cached_property
    def performers(self) -> Mapping[str, str]:
        """Return the participant that performs each step, by step name; the beginning first, then in order."""
        return {BEGINNING: self.begun_by, **{step.name: step.by for step in self.steps}}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the steps, the beginning first."""
        return tuple(self.performers)

    @cached_property
    def previous(self) -> Mapping[str, str]:
        """Return the predecessor of each step, by name; that of the first step is the beginning."""
        return dict(zip(self.names[1:], self.names, strict=False))

    @cached_property
    def participants(self) -> tuple[str, ...]:
        """Return every participant, the one that begins the saga first."""
        return tuple(dict.fromkeys((self.begun_by, *(step.by for step in self.steps))))

    def is_after_pivot(self, at: int) -> bool:
        """Tell whether the step at this position comes after the pivot, when nothing is undone any more."""
        return self.pivot_at is not None and at > self.pivot_at

    def _published(self) -> Iterator[tuple[str, type[Event] | None]]:
        for kind in (self.begins_with, self.cancelled_by, self.cancellation):
            yield self.begun_by, kind
        for step in self.steps:
            for kind in (step.done, step.refused, step.undone):
                yield step.by, kind

    def event_types(self) -> Iterator[type[Event]]:
        """Yield every event type in the table."""
        return (kind for _, kind in self._published() if kind is not None)
