"""The figures of sagas as kept in Redis, read back. Pure: a hash in, numbers out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from sagastream.saga.counting import BOUNDS, LABELS, name


@dataclass(frozen=True, slots=True)
class Durations:
    """Observations per upper bound (not cumulative; the last is unbounded), and their sum in milliseconds."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total_ms: int = 0

    @property
    def count(self) -> int:
        """Return how many were observed."""
        return sum(self.counts)

    def __add__(self, other: Durations) -> Durations:
        counts = tuple(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        return Durations(counts, self.total_ms + other.total_ms)

    def average_ms(self) -> float | None:
        """Return the exact mean; None if nothing was observed."""
        return self.total_ms / self.count if self.count else None

    def quantile_ms(self, share: float) -> float | None:
        """Return an estimate, interpolated within its bucket as Prometheus does; None if nothing was observed.

        A value above the largest bound is reported as that bound.
        """
        if not self.count:
            return None
        cumulated = list(accumulate(self.counts))
        rank = share * self.count
        at = bisect_left(cumulated, rank)
        if at >= len(BOUNDS):
            return BOUNDS[-1] * 1000
        low, below = (BOUNDS[at - 1], cumulated[at - 1]) if at else (0.0, 0)
        part = (rank - below) / self.counts[at] if self.counts[at] else 0.0
        return (low + (BOUNDS[at] - low) * part) * 1000


@dataclass(frozen=True)
class Counts:
    """Every counter of ``counts``; one that was never counted is zero."""

    values: Mapping[str, int]

    @classmethod
    def of(cls, stored: Mapping[str, str]) -> Counts:
        """Return the counters of the stored hash."""
        return cls({counter: int(value) for counter, value in stored.items()})

    def since(self, then: Counts) -> Counts:
        """Return what was added since; never negative, even if a server lost its last writes and counts them again."""
        return Counts({counter: max(0, value - then.values.get(counter, 0)) for counter, value in self.values.items()})

    def get(self, *parts: str) -> int:
        """Return the value of one counter."""
        return self.values.get(name(*parts), 0)

    def processes(self, known: Iterable[str] = ()) -> list[str]:
        """Return the names of all processes: the known ones, and those that were once counted."""
        counted = (parts[1] for parts in (counter.split("|") for counter in self.values) if len(parts) > 1)
        return list(dict.fromkeys((*known, *sorted(counted))))

    def durations(self, *of: str) -> Durations:
        """Return a histogram: ``"duration", process`` or ``"step_duration", process, step``."""
        return Durations(tuple(self.get(*of, label) for label in LABELS), self.get(f"{of[0]}_ms", *of[1:]))

    def steps(self, process: str, known: Iterable[str] = ()) -> list[str]:
        """Return the names of a process's steps: the known ones, and those that were once counted."""
        found = (counter.split("|") for counter in self.values)
        counted = (parts[2] for parts in found if parts[0] == "steps" and parts[1] == process)
        return list(dict.fromkeys((*known, *sorted(counted))))
