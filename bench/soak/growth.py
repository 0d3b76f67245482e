"""Whether a figure grows. Pure: samples in, a verdict out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM = 1 / 3  # of the time, while caches fill and retention has nothing to remove yet


@dataclass(frozen=True, slots=True)
class Sample:
    """A value measured at an instant (seconds, from any origin)."""

    at_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Growth:
    """The growth of a figure from the end of the first third to the end, and how much is allowed."""

    what: str
    unit: str
    begins: float
    ends: float
    grew: float
    allowed: float

    @property
    def is_flat(self) -> bool:
        """Tell whether it grew no more than is allowed."""
        return self.grew <= self.allowed


def settled(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples of the last two thirds of the time."""
    if not samples:
        return []
    first, last = samples[0].at_s, samples[-1].at_s
    return [sample for sample in samples if sample.at_s >= first + (last - first) * WARM]


def growth(what: str, unit: str, samples: Sequence[Sample], *, share: float, least: float) -> Growth:
    """Return the growth by the slope of the last two thirds; ``share`` of the mean, or ``least``, is allowed.

    The slope is the median of the slopes between all pairs, so that a single peak has no effect.

    Raises: ``ValueError`` for too few samples.
    """
    kept = settled(samples)
    if len(kept) < 4:
        raise ValueError(f"{what}: {len(kept)} samples in the last two thirds say nothing")
    slopes = [
        (later.value - sooner.value) / (later.at_s - sooner.at_s)
        for at, sooner in enumerate(kept)
        for later in kept[at + 1 :]
    ]
    mean = statistics.fmean(sample.value for sample in kept)
    grew = statistics.median(slopes) * (kept[-1].at_s - kept[0].at_s)
    return Growth(what, unit, kept[0].value, kept[-1].value, grew, max(least, share * mean))
