"""One turn of the engine: facts in, progress and actions out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from sagastream.envelope import derived_id
from sagastream.event import (
    Event,
    SagaAborted,
    SagaCompensationCompleted,
    SagaCompensationStarted,
    SagaCompleted,
    SagaFailed,
    SagaNeedsAttention,
    SagaStarted,
)
from sagastream.saga import lifecycle
from sagastream.saga.attention import left_open
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Ask, Fact, Happening, Kind, Progress, Request

ENDS: dict[str, Status] = {
    SagaCompleted.type_name(): Status.COMPLETED,
    SagaFailed.type_name(): Status.FAILED,
    SagaCompensationCompleted.type_name(): Status.COMPENSATED,
    SagaAborted.type_name(): Status.ABORTED,
}
"""The status in which a saga has ended, by the type of the event that announces it."""

_ENDED = "ended"
_STARTED, _COMPLETED = SagaStarted(), SagaCompleted()  # they carry no data
_WISHES = frozenset({Kind.CANCELLED, Kind.GAVE_UP, Kind.POISONED})
_STATED = frozenset({Kind.STATED_DONE, Kind.STATED_UNDONE})
_TOO_LATE_AT_THE_END = _WISHES | _STATED | {Kind.OVERDUE, Kind.ABORTED}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to be sent about a step; ``times`` is 1 at first and grows by one with each repetition."""

    step: str
    request: Request
    times: int


class Advance(NamedTuple):
    """What one turn led to.

    ``news`` are the happenings that added something new; ``late`` counts those that arrived after the end.
    ``announcements`` are events, each under a name that is announced once per saga. ``timer_ms`` is when to look again,
    None once the saga has ended.
    """

    progress: Progress
    status: Status
    news: tuple[Happening, ...]
    asks: tuple[Asked, ...]
    announcements: tuple[tuple[str, Event], ...]
    timer_ms: int | None
    late: int


def has_ended(progress: Progress) -> bool:
    """Tell whether the saga has ended, for good, even if a ledger has contradicted it since."""
    return _ENDED in progress.announced


def advance(saga: Saga, progress: Progress, happenings: Sequence[Happening], *, now_ms: int) -> Advance:
    """Add what happened and derive what follows; neither order nor repetition of facts changes the result."""
    return _follow(saga, progress, happenings, now_ms=now_ms)


def tick(saga: Saga, progress: Progress, *, now_ms: int) -> Advance:
    """Let time pass: whatever is overdue by now becomes a fact, and unanswered requests are repeated.

    Only for an instant up to which everything published has been read.
    """
    return _follow(saga, progress, tuple(overdue(saga, progress, now_ms)), now_ms=now_ms, may_repeat=True)


def ask_now(saga: Saga, progress: Progress, *, now_ms: int) -> Advance:
    """Repeat every open request at once because a person wants it, however recently each was made.

    Ledgers answer from memory what they decided before, so a repetition has no second effect. Only for a saga that has
    not ended and whose ledgers agree.
    """
    asks = tuple(
        Asked(step, request, _times(progress, step, request) + 1) for step, request in lifecycle.askable(saga, progress)
    )
    return _follow(saga, progress, (), now_ms=now_ms, asks=asks)


def overdue(saga: Saga, progress: Progress, now_ms: int) -> Iterator[Happening]:
    """Yield a happening for each deadline that has passed by now."""
    waiting = lifecycle.awaited(saga, progress)
    if waiting is not None and waiting[2] <= now_ms and not progress.has(waiting[0], Kind.OVERDUE):
        step, since, until = waiting
        why = f"nothing heard from {saga.performers[step]} for {(until - since) / 1000:g} s"
        yield _overdue(progress, step, until, why)
    if progress.began_ms is None and not progress.has(BEGINNING, Kind.OVERDUE):
        until = progress.first_ms + saga.patience // timedelta(milliseconds=1)
        if until <= now_ms:
            yield _overdue(progress, BEGINNING, until, "the beginning was never seen")


def _overdue(progress: Progress, step: str, at_ms: int, why: str) -> Happening:
    return Happening(step, Kind.OVERDUE, Fact(at_ms, derived_id(progress.saga_id, step, "overdue", str(at_ms)), why))


def _follow(
    saga: Saga,
    before: Progress,
    happenings: Sequence[Happening],
    *,
    now_ms: int,
    may_repeat: bool = False,
    asks: tuple[Asked, ...] | None = None,
) -> Advance:
    had_ended = has_ended(before)
    late = sum(happening.kind not in _STATED for happening in happenings) if had_ended and not may_repeat else 0
    if had_ended:  # facts that call for a way no longer open, or had no effect, are not even recorded
        is_at_rest = lifecycle.status(saga, before).is_end
        too_late = _TOO_LATE_AT_THE_END if is_at_rest else _WISHES
        happenings = [
            happening
            for happening in happenings
            if happening.kind not in too_late and not (is_at_rest and _is_idle(before, happening))
        ]
    progress, news = before.with_facts(happenings)
    status = lifecycle.status(saga, progress)
    if asks is None:
        asks = tuple(_due(saga, progress, now_ms, may_repeat=may_repeat))
    if asks:
        made = {ask.step: Ask(ask.request, ask.times, now_ms) for ask in asks}
        progress = progress.changed(asks={**progress.asks, **made})
    told = dict(_announcements(saga, progress, status))
    fresh = {name: event for name, event in told.items() if name not in progress.announced}
    if fresh:
        progress = progress.changed(announced=(*progress.announced, *fresh))
    timer = lifecycle.timer(saga, progress, now_ms)
    return Advance(progress, status, news, asks, tuple(fresh.items()), timer, late)


def _is_idle(progress: Progress, happening: Happening) -> bool:
    """Tell whether a step already done is reported refused: its ledger forgot it and retried, without effect."""
    return happening.kind is Kind.REFUSED and progress.has(happening.step, Kind.DONE, Kind.UNDONE)


def _due(saga: Saga, progress: Progress, now_ms: int, *, may_repeat: bool) -> Iterator[Asked]:
    for step, request in lifecycle.wanted(saga, progress):
        times = _times(progress, step, request)
        due = lifecycle.ask_again_at(saga, progress, step, request)
        if due <= now_ms and (not times or may_repeat):
            yield Asked(step, request, times + 1)


def _times(progress: Progress, step: str, request: Request) -> int:
    """Return how often this request was made so far."""
    ask = progress.asks.get(step)
    return ask.times if ask is not None and ask.request is request else 0


def _announcements(saga: Saga, progress: Progress, status: Status) -> Iterator[tuple[str, Event]]:
    """Yield every event the saga must have announced so far, under the name by which it is announced only once."""
    if progress.began_ms is not None:
        yield "started", _STARTED
    if lifecycle.is_turned_back(saga, progress) and any(s != BEGINNING for s in lifecycle.to_undo(saga, progress)):
        yield "compensating", SagaCompensationStarted(reason=lifecycle.reason(saga, progress))
    match status:
        case Status.NEEDS_ATTENTION:
            trouble = next(lifecycle.troubles(saga, progress))
            yield f"attention {derived_id(trouble)[:8]}", SagaNeedsAttention(reason=trouble)
        case Status.COMPLETED:
            yield _ENDED, _COMPLETED
        case Status.FAILED:
            yield _ENDED, SagaFailed(reason=lifecycle.reason(saga, progress))
        case Status.COMPENSATED:
            yield _ENDED, SagaCompensationCompleted(reason=lifecycle.reason(saga, progress))
        case Status.ABORTED:
            aborted = progress.facts[BEGINNING][Kind.ABORTED]
            open_effects = left_open(saga, progress)
            yield _ENDED, SagaAborted(reason=aborted.reason, actor=aborted.actor, open_effects=open_effects)
        case _:
            pass
