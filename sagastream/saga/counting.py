"""What one turn of the engine adds to the figures kept in Redis. Pure.

A counter's name is its parts joined by ``|``: ``sagas|order`` (records), ``started|order``, ``ended|order|Completed``,
``steps|order|reserve stock|done``, ``duration|order|0.5`` (observations up to half a second, not cumulative).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from sagastream.saga.advance import Advance
from sagastream.saga.definition import Saga
from sagastream.saga.progress import Kind, Progress

Tally = defaultdict[str, int]
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
LABELS = (*(f"{bound:g}" for bound in BOUNDS), "inf")
_WHOLE = frozenset({"started", "ended"})
COUNTED = (Kind.DONE, Kind.REFUSED, Kind.UNDONE, Kind.BARRED, Kind.GAVE_UP)  # of each step


def name(*parts: str) -> str:
    """Return the name of a counter."""
    return "|".join(parts)


def counted(saga: Saga, before: Progress, turn: Advance) -> Tally:
    """Return what to add to which counter. Times are in whole milliseconds."""
    tally: Tally = defaultdict(int)
    if not before.facts:  # even if its beginning is never seen: every table is found here
        tally[name("sagas", saga.name)] += 1
    fresh = set(turn.progress.announced).difference(before.announced)
    # A fact may be reported again with an earlier instant; that is news, but it did not happen twice.
    for step, kind in {(happening.step, happening.kind): None for happening in turn.news}:
        if not before.has(step, kind):
            _count_happening(saga, turn.progress, step, kind, tally)
    if "started" in fresh:
        tally[name("started", saga.name)] += 1
    if "compensating" in fresh:
        tally[name("turned_back", saga.name)] += 1
    if "ended" in fresh:
        tally[name("ended", saga.name, turn.status)] += 1
    if fresh & _WHOLE and _WHOLE.issubset(turn.progress.announced):  # its beginning may be read after its end, or never
        _observe(tally, "duration", saga.name, turn.progress.last_ms - turn.progress.start_ms)
    if turn.late:
        tally["late"] += turn.late
    return tally


def _count_happening(saga: Saga, progress: Progress, step: str, kind: Kind, tally: Tally) -> None:
    if kind in COUNTED:
        previous = saga.previous.get(step)
        if previous is None:  # the beginning, or no step
            return
        tally[name("steps", saga.name, step, kind)] += 1
        since, done = progress.fact(previous, Kind.DONE), progress.fact(step, Kind.DONE)
        if kind is Kind.DONE and since is not None and done is not None:
            _observe(tally, "step_duration", name(saga.name, step), max(0, done.at_ms - since.at_ms))
    elif kind is Kind.OVERDUE:
        tally[name("timeouts", saga.name, step)] += 1
    elif kind is Kind.UNDO_GAVE_UP:
        tally[name("undo_failed", saga.name, step)] += 1


def _observe(tally: Tally, what: str, of: str, took_ms: int) -> None:
    tally[name(what, of, LABELS[bisect_left(BOUNDS, took_ms / 1000)])] += 1
    tally[name(f"{what}_ms", of)] += took_ms
