"""Figures of all sagas together, with the rates at which they begin and end. Pure: two readings in, an answer out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import Field

from sagastream.answers import Answer, Moment, instant
from sagastream.coordinator.fleet import Fleet
from sagastream.coordinator.statistics import StatisticsView, statistics
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status


class PulseView(Answer):
    """All sagas at a glance. Rates per second cover the last few seconds; null until two readings were taken."""

    at: Moment
    started: int
    ended: int
    active: int
    by_status: dict[Status, int]
    success_rate: float | None
    started_per_second: float | None
    completed_per_second: float | None
    ended_per_second: float | None
    oldest_unfinished_seconds: float | None
    deadline_lag_seconds: float = Field(description="how long the earliest deadline is overdue")


def pulse(fleet: Fleet, before: Fleet | None, sagas: Sequence[Saga]) -> PulseView:
    """Return the figures of a reading; ``before`` is an earlier one."""
    now = statistics(fleet, sagas)
    then = statistics(before, sagas) if before is not None else None
    took_ms = fleet.now_ms - before.now_ms if before is not None else 0

    def per_second(count: Callable[[StatisticsView], int]) -> float | None:
        if then is None or took_ms <= 0:
            return None
        return round(max(0, count(now) - count(then)) * 1000 / took_ms, 3)

    return PulseView(
        at=instant(fleet.now_ms),
        started=now.started,
        ended=now.ended,
        active=now.active,
        by_status=now.by_status,
        success_rate=now.success_rate,
        started_per_second=per_second(lambda told: told.started),
        completed_per_second=per_second(lambda told: told.by_status[Status.COMPLETED]),
        ended_per_second=per_second(lambda told: told.ended),
        oldest_unfinished_seconds=_age_s(fleet.oldest_ms, fleet.now_ms),
        deadline_lag_seconds=_age_s(fleet.due_ms, fleet.now_ms) or 0.0,
    )


def _age_s(since_ms: int | None, now_ms: int) -> float | None:
    return None if since_ms is None else max(0, now_ms - since_ms) / 1000
