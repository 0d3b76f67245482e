"""The facts known about one saga. Pure; adding facts is commutative, associative and idempotent.

The status is never kept as truth: it follows from the facts (see ``lifecycle``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from sagastream.saga.definition import BEGINNING, Saga


class Kind(StrEnum):
    """What a fact says about a step; for the beginning, ``done`` means that the saga began.

    ``stated`` facts are statements by a person, given with evidence where ledgers can no longer tell.
    """

    DONE = "done"
    REFUSED = "refused"
    UNDONE = "undone"
    BARRED = "barred"
    GAVE_UP = "gave up"
    UNDO_GAVE_UP = "undo gave up"
    LOST = "ledger lost"
    OVERDUE = "overdue"
    CANCELLED = "cancelled"
    POISONED = "poisoned"
    ABORTED = "aborted"
    STATED_DONE = "stated done"
    STATED_UNDONE = "stated undone"


class Request(StrEnum):
    """What the coordinator may request about a step."""

    UNDO = "undo"
    BAR = "bar"
    RETRY = "retry"

    @property
    def purpose(self) -> str:
        """Return the purpose in words for people; the name of the step follows it."""
        return _PURPOSES[self]


_PURPOSES = {Request.UNDO: "to undo", Request.BAR: "to bar", Request.RETRY: "for the outcome of"}


class Fact(NamedTuple):
    """When something became known (epoch ms, server time), from which event, and why if the event says so.

    ``actor`` is the person who reported it, empty if a service did.
    """

    at_ms: int
    event_id: str
    reason: str = ""
    actor: str = ""


class Happening(NamedTuple):
    """A fact that is to be added to a progress."""

    step: str
    kind: Kind
    fact: Fact


@dataclass(frozen=True, slots=True)
class Ask:
    """The latest request about a step, and how often it has been made."""

    request: Request
    times: int
    at_ms: int


Facts = Mapping[str, Mapping[Kind, Fact]]


@dataclass(frozen=True)
class Progress:
    """The facts of one saga, the requests they led to, and the announcements made so far.

    ``facts`` maps the name of a step (``BEGINNING`` for the beginning) to what is known about it.
    """

    saga_id: str
    definition: str
    version: int
    initiator: str = ""
    facts: Facts = field(default_factory=dict)
    asks: Mapping[str, Ask] = field(default_factory=dict)
    announced: tuple[str, ...] = ()

    def fact(self, step: str, kind: Kind) -> Fact | None:
        """Return a fact if it is known."""
        known = self.facts.get(step)
        return known.get(kind) if known else None

    def has(self, step: str, *kinds: Kind) -> bool:
        """Tell whether any of these kinds is known about a step."""
        known = self.facts.get(step)
        return known is not None and not known.keys().isdisjoint(kinds)

    def any(self, saga: Saga, *kinds: Kind) -> bool:
        """Tell whether any of these kinds is known about any step other than the beginning."""
        return any(self.has(step.name, *kinds) for step in saga.steps)

    @cached_property
    def kinds(self) -> frozenset[Kind]:
        """Return every kind known about any step; in most sagas only ever ``done``."""
        return frozenset(kind for known in self.facts.values() for kind in known)

    @cached_property
    def shape(self) -> str:
        """Return the kinds known about each step, without instants and reasons; most sagas have one of a few shapes."""
        return "\n".join([f"{step}\n{','.join(known)}" for step, known in self.facts.items()])

    @property
    def began_ms(self) -> int | None:
        """Return when the saga began, None while its beginning has not been seen."""
        began = self.fact(BEGINNING, Kind.DONE)
        return began.at_ms if began else None

    @property
    def first_ms(self) -> int:
        """Return the instant of the earliest fact."""
        return min((fact.at_ms for known in self.facts.values() for fact in known.values()), default=0)

    @property
    def start_ms(self) -> int:
        """Return the instant by which the saga is listed: its beginning, or its earliest fact while that is unknown."""
        began_ms = self.began_ms
        return began_ms if began_ms is not None else self.first_ms

    @property
    def last_ms(self) -> int:
        """Return the instant of the latest fact."""
        return max((fact.at_ms for known in self.facts.values() for fact in known.values()), default=0)

    @property
    def last_event_id(self) -> str:
        """Return the event that reported the latest fact, empty without one: the cause of the present state."""
        told = [
            fact
            for known in self.facts.values()
            for kind, fact in known.items()
            if kind not in (Kind.POISONED, Kind.ABORTED)  # these come from outside the saga
        ]
        return max(told).event_id if told else ""

    def with_fact(self, happening: Happening) -> Progress:
        """Return the progress with this fact added; of two facts that say the same, the earlier one stays."""
        return self.with_facts((happening,))[0]

    def with_facts(self, happenings: Iterable[Happening]) -> tuple[Progress, tuple[Happening, ...]]:
        """Return the progress with these facts added, and those of them that were new."""
        facts: dict[str, Mapping[Kind, Fact]] = dict(self.facts)
        news: list[Happening] = []
        for happening in happenings:
            known = facts.get(happening.step, {})
            present = known.get(happening.kind)
            if present is None or happening.fact < present:
                facts[happening.step] = {**known, happening.kind: happening.fact}
                news.append(happening)
        return (self.changed(facts=facts) if news else self), tuple(news)

    def changed(
        self,
        *,
        facts: Facts | None = None,
        asks: Mapping[str, Ask] | None = None,
        announced: tuple[str, ...] | None = None,
    ) -> Progress:
        """Return the progress with the given fields replaced."""
        return Progress(
            self.saga_id,
            self.definition,
            self.version,
            self.initiator,
            self.facts if facts is None else facts,
            self.asks if asks is None else asks,
            self.announced if announced is None else announced,
        )
