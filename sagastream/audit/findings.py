"""What an audit reports: rules, how often each was tried, and where it does not hold. Pure; reaches nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MOST = 1_000  # differences kept per rule; those beyond are only counted


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that must be so.

    ``name`` is short and never changes: it labels the metric. ``says`` is the rule in words, ``advice`` what to do if
    it does not hold.
    """

    name: str
    says: str
    advice: str


Place = tuple[str, int]  # a stream, and the instant (epoch ms) of what stands in it


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a rule does not hold; ``saga_id`` is empty if no single saga can be named.

    ``late`` holds the places of the saga's events that came long after its end: only an audit that met them can find
    them.
    """

    rule: str
    about: str
    expected: str
    found: str
    saga_id: str = ""
    late: tuple[Place, ...] = field(default=(), compare=False)

    def told(self) -> dict[str, str | None]:
        """Return the difference as programs read it."""
        return {"rule": self.rule, "about": self.about, "sagaId": self.saga_id or None, "expected": self.expected,
                "found": self.found}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wrong:
    """What a rule expected of one saga, and what was there instead."""

    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A rule cannot be judged here; ``why`` comes from a closed set, because it labels a count."""

    why: str


# None means that the rule does not concern such a saga.
Answer = Sequence[Wrong] | Unknown | None


@dataclass(slots=True)
class Tried:
    """One rule, how many things it was tried on, how many it could not judge (by why), and where it does not hold."""

    rule: Rule
    compared: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)


class Findings:
    """Collects what rules find; every rule is listed, even if it was never tried."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.tried = {rule.name: Tried(rule) for rule in rules}

    def holds(self, rule: str, times: int = 1) -> None:
        """Note that a rule was tried on so many things and holds."""
        self.tried[rule].compared += times

    def unknown(self, rule: str, why: str, times: int = 1) -> None:
        """Note that a rule could not be judged on so many things."""
        self.tried[rule].unknown[why] += times

    def differs(self, difference: Difference) -> None:
        """Note a place where a rule was tried and does not hold."""
        tried = self.tried[difference.rule]
        tried.compared += 1
        tried.differing += 1
        if len(tried.differences) < MOST:
            tried.differences.append(difference)

    def answer(self, rule: str, saga_id: str, answer: Answer, late: tuple[Place, ...] = ()) -> bool:
        """Note what a rule says about one saga; tell whether it does not hold."""
        if answer is None:
            return False
        if isinstance(answer, Unknown):
            self.unknown(rule, answer.why)
            return False
        if not answer:
            self.holds(rule)
            return False
        said = Wrong("; ".join(w.expected for w in answer), "; ".join(w.found for w in answer))
        self.differs(Difference(rule, f"saga {saga_id}", said.expected, said.found, saga_id, late))
        return True

    def could_try(self, rule: str) -> bool:
        """Tell whether a rule was tried on anything, or there was nothing to try it on."""
        tried = self.tried[rule]
        return tried.compared > 0 or not tried.unknown

    def add(self, other: Findings) -> None:
        """Add the findings of another audit, with its rules."""
        for name, theirs in other.tried.items():
            mine = self.tried.setdefault(name, Tried(theirs.rule))
            mine.compared += theirs.compared
            mine.unknown += theirs.unknown
            mine.differing += theirs.differing
            mine.differences += theirs.differences[: MOST - len(mine.differences)]

    @property
    def differing(self) -> int:
        """Return in how many places rules do not hold."""
        return sum(tried.differing for tried in self.tried.values())

    @property
    def differences(self) -> list[Difference]:
        """Return the differences that were kept, rule by rule."""
        return [difference for tried in self.tried.values() for difference in tried.differences]
