"""The totals of all sagas, over all time or since an instant. Pure: counters in, an answer out.

**Source**: CONTRACT, decision 5: compensation rate = turned back / started, success rate = completed / ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import ConfigDict, Field

from sagastream.answers import Answer, Moment, instant, moment
from sagastream.coordinator import examples
from sagastream.coordinator.counts import Counts, Durations
from sagastream.coordinator.fleet import UNFINISHED, Fleet
from sagastream.coordinator.snapshots import Snapshot
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Kind

_ENDS = tuple(status for status in Status if status.is_end)


class DurationView(Answer):
    """How long something took. The average is exact; percentiles are interpolated within histogram buckets.

    All but the count are null if nothing was observed.
    """

    count: int
    average_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class StepTotals(Answer):
    """How often a step had each outcome, and how long it took when it was done."""

    name: str
    done: int
    refused: int
    undone: int
    barred: int
    gave_up: int
    timeouts: int
    undo_failures: int
    duration: DurationView


class Totals(Answer):
    """The sagas of one table or of all; a rate is null while there is nothing to divide by."""

    started: int
    active: int
    ended: int
    turned_back: int
    by_status: dict[Status, int]
    success_rate: float | None
    compensation_rate: float | None
    duration: DurationView


class ProcessTotals(Totals):
    """The sagas of one table."""

    business_process: str
    steps: list[StepTotals]


class StatisticsView(Totals):
    """All sagas, and those of each table, counted from ``from`` to ``to``.

    Without a window ``from`` is null: everything ever counted. With one it is the instant of the snapshot that was
    subtracted, at or before the beginning of the window if there is one, so the answer never claims more than it knows.
    Unfinished sagas (``active``, and their statuses in ``byStatus``) are always as of ``to``.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.STATISTICS]})

    from_: Moment | None = Field(alias="from", description="counted since this instant; null: ever since")
    to: Moment = Field(description="counted up to this instant; what is unfinished is as of it")
    late_events: int
    processes: list[ProcessTotals]


def statistics(fleet: Fleet, sagas: Sequence[Saga]) -> StatisticsView:
    """Return the statistics of the fleet; tables of which nothing was counted appear with zeros."""
    return _statistics(fleet, fleet.counts, sagas, since=None)


def statistics_since(fleet: Fleet, then: Snapshot | None, sagas: Sequence[Saga]) -> StatisticsView:
    """Return what was added since a snapshot; without one only the present is known."""
    if then is None:
        then = Snapshot(fleet.now_ms, fleet.counts)
    return _statistics(fleet, fleet.counts.since(then.counts), sagas, since=min(then.at_ms, fleet.now_ms))


def _statistics(fleet: Fleet, counts: Counts, sagas: Sequence[Saga], *, since: int | None) -> StatisticsView:
    known = {saga.name: [step.name for step in saga.steps] for saga in sagas}
    names = counts.processes(known)
    return StatisticsView(
        **dict(_totals(fleet, counts, names)),
        from_=moment(since),
        to=instant(fleet.now_ms),
        late_events=counts.get("late"),
        processes=[
            ProcessTotals(
                **dict(_totals(fleet, counts, [name])),
                business_process=name,
                steps=[_step(counts, name, step) for step in counts.steps(name, known.get(name, ()))],
            )
            for name in names
        ],
    )


def _totals(fleet: Fleet, counts: Counts, processes: Sequence[str]) -> Totals:
    by_status = {status: sum(fleet.active.get((name, status), 0) for name in processes) for status in UNFINISHED}
    by_status |= {status: sum(counts.get("ended", name, status) for name in processes) for status in _ENDS}
    started = sum(counts.get("started", name) for name in processes)
    turned_back = sum(counts.get("turned_back", name) for name in processes)
    ended = sum(by_status[status] for status in _ENDS)
    return Totals(
        started=started,
        active=sum(by_status[status] for status in UNFINISHED),
        ended=ended,
        turned_back=turned_back,
        by_status=by_status,
        success_rate=_rate(by_status[Status.COMPLETED], ended),
        compensation_rate=_rate(turned_back, started),
        duration=_duration(_sum(counts.durations("duration", name) for name in processes)),
    )


def _step(counts: Counts, process: str, step: str) -> StepTotals:
    def how_often(kind: Kind) -> int:
        return counts.get("steps", process, step, kind)

    return StepTotals(
        name=step,
        done=how_often(Kind.DONE),
        refused=how_often(Kind.REFUSED),
        undone=how_often(Kind.UNDONE),
        barred=how_often(Kind.BARRED),
        gave_up=how_often(Kind.GAVE_UP),
        timeouts=counts.get("timeouts", process, step),
        undo_failures=counts.get("undo_failed", process, step),
        duration=_duration(counts.durations("step_duration", process, step)),
    )


def _duration(durations: Durations) -> DurationView:
    return DurationView(
        count=durations.count,
        average_ms=_rounded(durations.average_ms()),
        p50_ms=_rounded(durations.quantile_ms(0.50)),
        p95_ms=_rounded(durations.quantile_ms(0.95)),
        p99_ms=_rounded(durations.quantile_ms(0.99)),
    )


def _sum(many: Iterable[Durations]) -> Durations:
    total = Durations()
    for one in many:
        total = total + one
    return total


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
