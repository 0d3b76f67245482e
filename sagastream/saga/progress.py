"""What is known about one saga: a set of facts. Pure; adding facts commutes, associates and repeats without effect.

The status is nowhere kept as truth: it follows from the facts (see ``lifecycle``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from sagastream.saga.definition import BEGINNING, Saga


class Kind(StrEnum):
    """What a fact says about a step; of the beginning, ``done`` says that the saga began.

    ``stated`` facts are a person's word, given with evidence, where ledgers cannot tell any more.
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
    """What the coordinator may ask about a step."""

    UNDO = "undo"
    BAR = "bar"
    RETRY = "retry"

    @property
    def purpose(self) -> str:
        """Return what somebody is asked for, in words for people which the name of the step follows."""
        return _PURPOSES[self]


_PURPOSES = {Request.UNDO: "to undo", Request.BAR: "to bar", Request.RETRY: "for the outcome of"}


class Fact(NamedTuple):
    """When something became known (epoch ms, server time), by which event, and why if it says so.

    ``actor`` is the person who said so, empty for what a service said.
    """

    at_ms: int
    event_id: str
    reason: str = ""
    actor: str = ""


class Happening(NamedTuple):
    """A fact on its way into a progress."""

    step: str
    kind: Kind
    fact: Fact


@dataclass(frozen=True, slots=True)
class Ask:
    """The last time something was asked about a step, and how often it was asked by then."""

    request: Request
    times: int
    at_ms: int


Facts = Mapping[str, Mapping[Kind, Fact]]


@dataclass(frozen=True)
class Progress:
    """The facts of one saga, what was asked because of them, and which turns of its life were announced.

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
        """Tell whether any of these is known about a step."""
        known = self.facts.get(step)
        return known is not None and not known.keys().isdisjoint(kinds)

    def any(self, saga: Saga, *kinds: Kind) -> bool:
        """Tell whether any of these is known about any step, the beginning not counted."""
        return any(self.has(step.name, *kinds) for step in saga.steps)

    @cached_property
    def kinds(self) -> frozenset[Kind]:
        """Return what is known about any step at all; most sagas only ever know ``done``."""
        return frozenset(kind for known in self.facts.values() for kind in known)

    @cached_property
    def shape(self) -> str:
        """Return what is known about which step, instants and reasons aside: most sagas have one of a few shapes."""
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
        """Return the instant by which the saga is listed: when it began, or its earliest fact while that is unknown."""
        began_ms = self.began_ms
        return began_ms if began_ms is not None else self.first_ms

    @property
    def last_ms(self) -> int:
        """Return the instant of the latest fact."""
        return max((fact.at_ms for known in self.facts.values() for fact in known.values()), default=0)

    @property
    def last_event_id(self) -> str:
        """Return the event that told the latest fact, empty if none did: what the saga as it stands came from."""
        told = [
            fact
            for known in self.facts.values()
            for kind, fact in known.items()
            if kind not in (Kind.POISONED, Kind.ABORTED)  # they come from outside
        ]
        return max(told).event_id if told else ""

    def with_fact(self, happening: Happening) -> Progress:
        """Return the progress that also knows this; of two facts that say the same the earlier one stays."""
        return self.with_facts((happening,))[0]

    def with_facts(self, happenings: Iterable[Happening]) -> tuple[Progress, tuple[Happening, ...]]:
        """Return the progress that also knows these, and those of them that told something new."""
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
        """Return the progress with these in place of what it holds."""
        return Progress(
            self.saga_id,
            self.definition,
            self.version,
            self.initiator,
            self.facts if facts is None else facts,
            self.asks if asks is None else asks,
            self.announced if announced is None else announced,
        )
