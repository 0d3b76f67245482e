"""Durations, and their percentiles. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """The durations of one kind of action, in milliseconds, sorted."""

    kind: str
    ms: tuple[float, ...]

    def percentile(self, share: float) -> float:
        """Return the time within which this share of them was done."""
        return self.ms[min(len(self.ms) - 1, int(share * len(self.ms)))]
