"""The exported metrics as JSON, the same figures as the Prometheus text. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pydantic import ConfigDict

from sagastream.answers import Answer
from sagastream.coordinator import examples
from sagastream.series import PREFIX
from sagastream.telemetry import Figure, Spread


class Measure(Answer):
    """One sample: a ``value``, or for a histogram ``count``, ``sum`` and cumulative ``buckets`` by upper bound."""

    labels: dict[str, str]
    value: float | None = None
    count: int | None = None
    sum: float | None = None
    buckets: dict[str, int] | None = None


class Family(Answer):
    """One series with all its samples."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.FAMILY]})

    type: str
    help: str
    samples: list[Measure]


def families(figures: Iterable[Figure | Spread]) -> dict[str, Family]:
    """Return figures by the name under which they are exported."""
    found: dict[str, Family] = {}
    for figure in figures:
        what = figure.series
        family = found.setdefault(PREFIX + what.name, Family(type=what.kind, help=what.help, samples=[]))
        labels = dict(zip(what.labels, figure.labels, strict=True))
        family.samples.append(_spread(labels, figure) if isinstance(figure, Spread) else _figure(labels, figure))
    return found


def _figure(labels: dict[str, str], figure: Figure) -> Measure:
    return Measure(labels=labels, value=figure.value)


def _spread(labels: dict[str, str], spread: Spread) -> Measure:
    buckets = {"+Inf" if math.isinf(bound) else f"{bound:g}": count for bound, count in spread.cumulated()}
    return Measure(labels=labels, count=buckets["+Inf"], sum=spread.total, buckets=buckets)
