"""Decide when to retry. Pure: takes numbers and randomness, returns durations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sagastream.errors import DefinitionError

_DOUBLINGS = 30  # after these the wait stays the same, even below the cap


@dataclass(frozen=True, slots=True)
class Retry:
    """How many attempts a handler that raises gets, and how long to wait between them.

    The wait doubles from ``first`` up to ``cap``. ``jitter`` is the share of it that is random, so that messages that
    failed together are not retried together.

    Raises: ``DefinitionError`` for values that make no valid wait.
    """

    attempts: int = 5
    first: timedelta = timedelta(seconds=0.5)
    cap: timedelta = timedelta(seconds=30)
    jitter: float = 0.5

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise DefinitionError(f"Retry: {problem}")

    def is_exhausted(self, attempts: int) -> bool:
        """Tell whether no attempt is left after ``attempts`` failed ones."""
        return attempts >= self.attempts

    def wait(self, attempts: int, chance: float) -> timedelta:
        """Return how long to wait after ``attempts`` failed ones; ``chance`` is in [0, 1)."""
        doublings = min(attempts - 1, _DOUBLINGS)
        full = self.first * 2**doublings if self.first <= self.cap // 2**doublings else self.cap
        return full * (1 - self.jitter * chance)

    def longest(self) -> timedelta:
        """Return the longest total of all waits, ``timedelta.max`` if no duration can hold it."""
        growing = min(self.attempts - 1, _DOUBLINGS)
        total = sum((self.wait(attempt, 0.0) for attempt in range(1, growing + 1)), timedelta(0))
        try:
            return total + self.wait(_DOUBLINGS + 1, 0.0) * (self.attempts - 1 - growing)
        except OverflowError:
            return timedelta.max

    def _problems(self) -> Iterator[str]:
        """Yield what cannot work, wrong types included: a participant's declaration is not type-checked at run time."""
        attempts: object = self.attempts
        if not isinstance(attempts, int) or attempts < 1:
            yield f"attempts must be a whole number, at least 1, got {attempts!r}"
        for name, time in {"first": self.first, "cap": self.cap}.items():
            if not isinstance(time, timedelta):
                yield f"{name} must be a time such as timedelta(seconds=30), got {time!r}"
        if min(self.first, self.cap) < timedelta(0):
            yield "first and cap must not be less than no time"
        jitter: object = self.jitter
        if not isinstance(jitter, int | float) or not 0 <= jitter <= 1:
            yield f"jitter must be between 0 and 1, got {jitter!r}"
