"""When to try again. Pure: takes numbers and randomness, returns durations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a handler that raises is tried, and how long to wait in between.

    The wait doubles from ``first`` up to ``cap``; ``jitter`` is the part of it that is left to chance, so
    that messages that failed together do not come back together.
    """

    attempts: int = 5
    first: timedelta = timedelta(seconds=0.5)
    cap: timedelta = timedelta(seconds=30)
    jitter: float = 0.5

    def is_exhausted(self, attempts: int) -> bool:
        """Tell whether so many failed attempts are the last."""
        return attempts >= self.attempts

    def wait(self, attempts: int, chance: float) -> timedelta:
        """Return how long to wait after so many failed attempts; ``chance`` is in [0, 1)."""
        full: timedelta = min(self.first * 2 ** min(attempts - 1, 30), self.cap)
        return full * (1 - self.jitter * chance)

    def longest(self) -> timedelta:
        """Return the longest time all waits together can take."""
        return sum((self.wait(attempt, 0.0) for attempt in range(1, self.attempts)), timedelta(0))
