"""Whom an unfinished saga waits for, in words for people. Pure; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from sagastream.event import Event, StepBarred
from sagastream.saga import lifecycle
from sagastream.saga.definition import BEGINNING, Saga, Step
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Kind, Progress, Request

_HANDS_ON = (Kind.UNDONE, Kind.BARRED, Kind.UNDO_GAVE_UP, Kind.LOST)  # after which the next older step is asked
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Wait:
    """Whom an unfinished saga waits for, at which step, for what and why; instants are epoch ms.

    At ``until_ms`` the coordinator acts: it declares the step overdue, or asks again. None means that only a person can
    act.
    """

    who: str
    step: str
    what: str
    why: str
    since_ms: int
    until_ms: int | None


def waiting_for(saga: Saga, progress: Progress) -> Wait | None:
    """Return whom a saga waits for; None once it has ended."""
    return None if lifecycle.status(saga, progress).is_end else held_by(saga, progress)


def held_by(saga: Saga, progress: Progress) -> Wait:
    """Return whom a saga that has not ended waits for."""
    contradiction = next(lifecycle.contradictions(saga, progress), None)
    if contradiction is not None:
        return Wait("a person", "", "the ledgers to be set right", contradiction, progress.last_ms, None)
    wanted = list(lifecycle.wanted(saga, progress))
    if wanted:
        return _asked(saga, progress, wanted)
    waiting = lifecycle.awaited(saga, progress)
    if waiting is not None:
        name, since_ms, until_ms = waiting
        step = _step(saga, name)
        before = _before(saga, name)
        return Wait(step.by, name, _either(step.done, step.refused), f"{before} is done", since_ms, until_ms)
    return _unbegun(saga, progress)


def is_stuck(saga: Saga, progress: Progress, now_ms: int) -> bool:
    """Tell whether a saga does not move as it should.

    It needs attention, a participant has not answered a repeated request, or an answer is overdue.
    """
    wait = waiting_for(saga, progress)
    if wait is None:
        return False
    if lifecycle.status(saga, progress) is Status.NEEDS_ATTENTION or wait.until_ms is None or wait.until_ms < now_ms:
        return True
    ask = progress.asks.get(wait.step)
    return ask is not None and ask.times > 1


def _asked(saga: Saga, progress: Progress, wanted: list[tuple[str, Request]]) -> Wait:
    """Return the wait for the last of the open requests, the one that has not failed so far."""
    name, request = wanted[-1]
    ask = progress.asks.get(name)
    times = f", asked {ask.times} times" if ask is not None and ask.request is request and ask.times > 1 else ""
    return Wait(
        who=saga.performers[name],
        step=name,
        what=answers(saga, name, request) + times,
        why=_trouble_of(progress, name) or lifecycle.reason(saga, progress),
        since_ms=_asked_since(saga, progress, name, request),
        until_ms=lifecycle.ask_again_at(saga, progress, name, request) or None,
    )


def answers(saga: Saga, name: str, request: Request) -> str:
    """Return the events by which a request about a step is answered, in words for people."""
    if name == BEGINNING:
        done, undone, refused = saga.begins_with, saga.cancelled_by, None
    else:
        step = _step(saga, name)
        done, undone, refused = step.done, step.undone, step.refused
    match request:
        case Request.UNDO:
            return _either(undone, StepBarred)
        case Request.BAR:
            return _either(done, StepBarred)
        case Request.RETRY:
            return _either(done, refused)


def _asked_since(saga: Saga, progress: Progress, name: str, request: Request) -> int:
    """Return since when an answer is outstanding (epoch ms): the instant of the fact that caused the request."""
    if request is Request.RETRY:
        return _earliest(progress, (name,), Kind.GAVE_UP, Kind.REFUSED, Kind.OVERDUE)
    doubt_ms = _earliest(progress, saga.names, Kind.REFUSED, Kind.OVERDUE, Kind.GAVE_UP, Kind.CANCELLED)
    if request is Request.BAR:
        return doubt_ms
    barred = progress.fact(saga.pivot, Kind.BARRED) if saga.pivot is not None else None
    turned_ms = barred.at_ms if barred is not None else doubt_ms
    newer = lifecycle.to_undo(saga, progress)
    newer = newer[: newer.index(name)]
    known = (progress.facts[step] for step in newer if step in progress.facts)
    settled = [fact.at_ms for facts in known for kind, fact in facts.items() if kind in _HANDS_ON]
    return max([turned_ms, *settled])


def _unbegun(saga: Saga, progress: Progress) -> Wait:
    """Return the wait of a shell, a saga of which only later events were seen."""
    is_overdue = progress.has(BEGINNING, Kind.OVERDUE)
    return Wait(
        who=saga.begun_by,
        step=BEGINNING,
        what=saga.begins_with.type_name(),
        why="later events were seen, the beginning was not",
        since_ms=progress.first_ms,
        until_ms=None if is_overdue else progress.first_ms + saga.patience // _MS,
    )


def _trouble_of(progress: Progress, name: str) -> str:
    for kind in (Kind.LOST, Kind.UNDO_GAVE_UP):
        fact = progress.fact(name, kind)
        if fact is not None:
            return f"{kind}: {fact.reason}"
    return ""


def _earliest(progress: Progress, steps: tuple[str, ...], *kinds: Kind) -> int:
    known = (progress.facts[step] for step in steps if step in progress.facts)
    instants = [fact.at_ms for facts in known for kind, fact in facts.items() if kind in kinds]
    return min(instants) if instants else progress.last_ms


@cache
def _either(*kinds: type[Event] | None) -> str:
    return " or ".join(kind.type_name() for kind in kinds if kind is not None)


def _step(saga: Saga, name: str) -> Step:
    return saga.steps[saga.names.index(name) - 1]


def _before(saga: Saga, name: str) -> str:
    return saga.names[saga.names.index(name) - 1]
