"""The metrics of sagas, which every coordinator exports alike, from Redis alone. Reads; counts nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from sagastream import series
from sagastream.audit.results import figures as audit_figures
from sagastream.bus import Bus
from sagastream.coordinator.counts import Counts, Durations
from sagastream.coordinator.fleet import Fleet, read_fleet
from sagastream.coordinator.lags import Lag, owners, read_lags, read_open_letters, read_parked, read_unheard, streams
from sagastream.coordinator.snapshots import Snapshot, snapshot_before
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.counting import BOUNDS, COUNTED
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings
from sagastream.telemetry import Figure, Spread

_UPPER = (*BOUNDS, float("inf"))
_ENDED = {Status.COMPLETED: series.COMPLETED, Status.FAILED: series.FAILED, Status.COMPENSATED: series.UNDONE}


class Figures:
    """Reads the exported metrics; its ``read`` is a ``sagastream.telemetry.Source``.

    Series of the sagas known here begin at zero, so that a rate over them is right from their first event.
    """

    def __init__(self, sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> None:
        self._sagas = tuple(sagas)
        self._query = bus.query
        self._keys = Keys(settings.key_prefix, COORDINATOR)
        self._streams = streams(self._sagas, self._keys)
        self._owners = owners(sagas)

    async def read(self) -> list[Figure | Spread]:
        """Return every figure as of now."""
        fleet = await self.fleet()
        lags = await read_lags(self._query, self._streams)
        letters = await read_open_letters(self._query, self._keys, self._owners)
        steps = {saga.name: [step.name for step in saga.steps] for saga in self._sagas}
        return [
            *_of_sagas(fleet.counts, list(steps)),
            *_of_steps(fleet.counts, steps),
            *_of_now(fleet),
            *chain.from_iterable(_of_lag(lag, fleet.now_ms) for lag in lags),
            Figure(series.PARKED, (), await self._waiting()),
            *(Figure(series.OPEN_LETTERS, (owner,), count) for owner, count in letters.items()),
            *await audit_figures(self._query, self._keys),
        ]

    async def _waiting(self) -> int:
        """Return how many events wait for a coordinator that knows their table: parked, or on streams nobody reads."""
        parked = await read_parked(self._query, self._keys)
        unheard = await read_unheard(self._query, self._keys, self._sagas)
        return sum(each.events for each in parked) + sum(each.events for each in unheard)

    async def fleet(self) -> Fleet:
        """Return all sagas as of now."""
        return await read_fleet(self._query, self._keys, [saga.name for saga in self._sagas])

    async def before(self, at_ms: int) -> Snapshot | None:
        """Return the counters as they were at an instant or shortly before, otherwise the oldest that are known."""
        return await snapshot_before(self._query, self._keys, at_ms)


def _of_sagas(counts: Counts, known: Sequence[str]) -> Iterator[Figure | Spread]:
    for process in counts.processes(known):
        of = (process,)
        yield Figure(series.STARTED, of, counts.get("started", process))
        yield Figure(series.TURNED_BACK, of, counts.get("turned_back", process))
        for status, what in _ENDED.items():
            yield Figure(what, of, counts.get("ended", process, status))
        yield _spread(series.DURATION, of, counts.durations("duration", process))
    yield Figure(series.LATE_EVENTS, (), counts.get("late"))


def _of_steps(counts: Counts, known: dict[str, list[str]]) -> Iterator[Figure | Spread]:
    took: dict[str, Durations] = {}  # the label is the step alone: two processes may share one
    for process in counts.processes(known):
        steps = counts.steps(process, known.get(process, ()))
        for step in steps:
            for kind in COUNTED:
                yield Figure(series.STEPS, (process, step, kind), counts.get("steps", process, step, kind))
            took[step] = took.get(step, Durations()) + counts.durations("step_duration", process, step)
        for step in (BEGINNING, *steps):
            yield Figure(series.TIMEOUTS, (process, step), counts.get("timeouts", process, step))
            yield Figure(series.UNDO_FAILED, (process, step), counts.get("undo_failed", process, step))
    for step, durations in took.items():
        yield _spread(series.STEP_DURATION, (step,), durations)


def _of_now(fleet: Fleet) -> Iterator[Figure]:
    for (process, status), count in fleet.active.items():
        yield Figure(series.ACTIVE, (process, status), count)
    yield Figure(series.OLDEST_UNFINISHED, (), _age_s(fleet.oldest_ms, fleet.now_ms))
    yield Figure(series.DEADLINE_LAG, (), _age_s(fleet.due_ms, fleet.now_ms))


def _of_lag(lag: Lag, now_ms: int) -> Iterator[Figure]:
    of = (lag.stream, lag.group)
    if lag.unread is not None:
        yield Figure(series.STREAM_LAG, of, lag.unread)
    yield Figure(series.STREAM_PENDING, of, lag.pending)
    yield Figure(series.STREAM_OLDEST_PENDING, of, _age_s(lag.oldest_ms, now_ms))


def _spread(what: series.Series, of: tuple[str, ...], durations: Durations) -> Spread:
    return Spread(what, of, tuple(zip(_UPPER, durations.counts, strict=True)), durations.total_ms / 1000)


def _age_s(since_ms: int | None, now_ms: int) -> float:
    return max(0, now_ms - since_ms) / 1000 if since_ms is not None else 0.0
