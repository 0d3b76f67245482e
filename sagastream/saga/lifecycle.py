"""What follows from the facts of a saga: its status, the open requests, and how long to wait. Pure.

The rules are DESIGN 6. A refusal proves that nothing later happened. After a time-out, a give-up or a cancellation the
pivot's participant judges; only its bar makes the saga compensate. Then the undo of every step before the pivot is
requested, newest first, whether or not any of its events was seen.

The module is long because its rules depend on one another: to change one, read all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import StrEnum
from functools import wraps
from typing import TypeVar, cast

from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.progress import Kind, Progress, Request

T = TypeVar("T")

_MS = timedelta(milliseconds=1)
LONGEST_PACE = timedelta(hours=1)
MOST_JUDGED = 10_000  # cached judgements per table; sagas have a few dozen shapes, unless all are enumerated


class Status(StrEnum):
    """Where a saga stands."""

    STARTED = "Started"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    COMPENSATING = "Compensating"
    COMPENSATED = "Compensated"
    FAILED = "Failed"
    NEEDS_ATTENTION = "NeedsAttention"
    ABORTED = "Aborted"

    @property
    def is_end(self) -> bool:
        """Tell whether the saga has ended."""
        return self in _ENDS


_ENDS = frozenset({Status.COMPLETED, Status.COMPENSATED, Status.FAILED, Status.ABORTED})
_SMOOTH = frozenset({Kind.DONE})  # the only kind in most sagas: nothing to judge
_CONTRARY = frozenset({Kind.BARRED, Kind.REFUSED, Kind.UNDONE, Kind.STATED_UNDONE})  # no dispute without one
_REASONS = (Kind.REFUSED, Kind.OVERDUE, Kind.GAVE_UP, Kind.CANCELLED, Kind.ABORTED, Kind.STATED_UNDONE)
_REACHED = (Kind.DONE, Kind.UNDONE, Kind.REFUSED)
_SETTLED = (Kind.UNDONE, Kind.BARRED, Kind.REFUSED, Kind.STATED_UNDONE)


def _by_shape(judge: Callable[[Saga, Progress], T]) -> Callable[[Saga, Progress], T]:
    """Judge each shape once; for questions whose answer depends on which facts are known, never on their content."""
    name = judge.__name__

    @wraps(judge)
    def remembered(saga: Saga, progress: Progress) -> T:
        question = (name, progress.shape)
        judged = saga.judged
        if question in judged:
            return cast(T, judged[question])
        answer = judge(saga, progress)
        if len(judged) >= MOST_JUDGED:
            judged.clear()
        judged[question] = answer
        return answer

    return remembered


@_by_shape
def status(saga: Saga, progress: Progress) -> Status:
    """Return where the saga stands."""
    if progress.has(BEGINNING, Kind.ABORTED):
        return Status.ABORTED
    if next(contradictions(saga, progress), None):
        return Status.NEEDS_ATTENTION
    turned_back = is_turned_back(saga, progress)
    if turned_back and all(is_settled(progress, step) for step in to_undo(saga, progress)):
        had_effect = progress.any(saga, Kind.DONE, Kind.UNDONE, Kind.STATED_UNDONE)
        return Status.COMPENSATED if had_effect else Status.FAILED
    if (
        not turned_back
        and progress.has(BEGINNING, Kind.DONE)
        and all(is_done(progress, step.name) for step in saga.steps)
    ):
        return Status.COMPLETED
    if next(troubles(saga, progress), None):
        return Status.NEEDS_ATTENTION
    if turned_back:
        return Status.COMPENSATING
    return Status.IN_PROGRESS if progress.any(saga, *Kind) else Status.STARTED


def troubles(saga: Saga, progress: Progress) -> Iterator[str]:
    """Yield the reasons why the saga cannot end by itself for now, in words for people."""
    if progress.kinds <= _SMOOTH:
        return
    yield from contradictions(saga, progress)
    for step in saga.names:
        known = progress.facts.get(step, {})
        if Kind.POISONED in known:
            yield f"an event could not be understood: {known[Kind.POISONED].reason}"
        if is_settled(progress, step):
            continue
        has_judged = step == saga.pivot and is_done(progress, step)
        if Kind.LOST in known and not has_judged:
            yield f"the ledger of {step!r} was lost: {known[Kind.LOST].reason}"
        if Kind.UNDO_GAVE_UP in known and not has_judged:
            yield f"undoing {step!r} keeps failing: {known[Kind.UNDO_GAVE_UP].reason}"
    if progress.began_ms is None and progress.has(BEGINNING, Kind.OVERDUE) and not is_turned_back(saga, progress):
        yield "the beginning was never seen"
    for step, held_up_by in _held_up(saga, progress):
        for kind in held_up_by:
            yield f"{step!r} after the pivot: {kind} {progress.facts[step][kind].reason}".rstrip()


def contradictions(saga: Saga, progress: Progress) -> Iterator[str]:
    """Yield facts that cannot both be true; only a ledger rolled back to an earlier state produces them."""
    return (told for _, told in disputes(saga, progress))


@_by_shape
def disputes(saga: Saga, progress: Progress) -> tuple[tuple[str, str], ...]:
    """Return each step whose facts contradict each other, and how; a person's statement with evidence settles it."""
    return tuple(_disputes(saga, progress))


def _disputes(saga: Saga, progress: Progress) -> Iterator[tuple[str, str]]:
    if progress.kinds.isdisjoint(_CONTRARY):
        return
    # Asked of every saga at every turn and every look, so the facts of a step are looked up once.
    steps = saga.names
    upto = steps if saga.pivot_at is None else steps[: saga.pivot_at + 2]
    pivot = saga.pivot
    stopped_at = next((at for at, step in enumerate(upto) if _stops(saga, progress, step)), len(steps))
    for at, step in enumerate(steps):
        known = progress.facts.get(step)
        if not known:
            continue
        if Kind.STATED_UNDONE in known:
            if Kind.STATED_DONE in known:
                yield step, f"{step!r} is stated to be both done and undone"
            continue
        is_stated = Kind.STATED_DONE in known
        reached = next((kind for kind in _REACHED if kind in known), None)
        if reached is None:
            continue
        if at < len(upto) and reached is not Kind.REFUSED and not (is_stated and step == pivot):
            for kind in (Kind.BARRED, Kind.REFUSED):
                if kind in known:
                    yield step, f"{step!r} is both {kind} and {reached}"
        if at > stopped_at:
            yield step, f"{step!r} is {reached} although {steps[stopped_at]!r} before it never was"
        if Kind.UNDONE in known and not is_stated and _has_gone_forward(saga, progress):
            yield step, f"{step!r} is undone although the saga went forward"


def is_done(progress: Progress, step: str) -> bool:
    """Tell whether a step is done, by its own event or a person's statement, which may also say that it is not."""
    known = progress.facts.get(step)
    if known is None or Kind.STATED_UNDONE in known:
        return False
    return Kind.DONE in known or Kind.STATED_DONE in known


@_by_shape
def is_turned_back(saga: Saga, progress: Progress) -> bool:
    """Tell whether the saga is being compensated, for good."""
    if progress.kinds <= _SMOOTH:
        return False
    pivot = saga.pivot
    if pivot is None:
        is_unsure = progress.any(saga, Kind.OVERDUE, Kind.GAVE_UP) or progress.has(BEGINNING, Kind.CANCELLED)
        return is_unsure or progress.any(saga, Kind.REFUSED)
    if is_done(progress, pivot):
        return False
    return progress.has(pivot, Kind.BARRED, Kind.STATED_UNDONE) or _refused_at(saga, progress) is not None


@_by_shape
def is_in_doubt(saga: Saga, progress: Progress) -> bool:
    """Tell whether the pivot's participant must judge whether the saga goes forward or is compensated."""
    if progress.kinds <= _SMOOTH:
        return False
    pivot = saga.pivot
    if pivot is None or is_done(progress, pivot) or is_turned_back(saga, progress):
        return False
    upto = saga.steps[: (saga.pivot_at or 0) + 1]
    return progress.has(BEGINNING, Kind.CANCELLED) or any(
        progress.has(step.name, Kind.OVERDUE, Kind.GAVE_UP) for step in upto
    )


@_by_shape
def to_undo(saga: Saga, progress: Progress) -> tuple[str, ...]:
    """Return the steps that must be undone or barred once the saga is compensated, newest first."""
    upto = _refused_at(saga, progress)  # never after the pivot
    if upto is None:
        upto = saga.pivot_at if saga.pivot_at is not None else len(saga.steps)
    steps = [step.name for step in reversed(saga.steps[:upto])]
    return (*steps, BEGINNING) if saga.cancelled_by is not None else (*steps,)


def is_settled(progress: Progress, step: str) -> bool:
    """Tell whether a step of a saga being compensated is known to have no effect any more."""
    return progress.has(step, *_SETTLED)


def proof(saga: Saga, progress: Progress, step: str) -> str | None:
    """Return the id of an event that proves that a step was once done, None if none was seen.

    It is an event of the step itself, or of any later step, which was only possible after it.
    """
    names = saga.names
    own = progress.fact(step, Kind.DONE)
    if own is not None:
        return own.event_id
    for later in names[names.index(step) + 1 :]:
        for kind in (Kind.DONE, Kind.REFUSED, Kind.UNDONE):
            fact = progress.fact(later, kind)
            if fact is not None:
                return fact.event_id
    return None


@_by_shape
def wanted(saga: Saga, progress: Progress) -> tuple[tuple[str, Request], ...]:
    """Return the requests that the facts call for, each with its step.

    Undos are requested one at a time, newest first; one that gave up, or whose ledger was lost, does not block the
    older ones.
    """
    return tuple(_wanted(saga, progress))


def _wanted(saga: Saga, progress: Progress) -> Iterator[tuple[str, Request]]:
    if progress.has(BEGINNING, Kind.ABORTED) or next(contradictions(saga, progress), None):
        return
    if is_turned_back(saga, progress):
        for step in to_undo(saga, progress):
            if is_settled(progress, step):
                continue
            yield step, Request.UNDO
            if not progress.has(step, Kind.UNDO_GAVE_UP, Kind.LOST):
                return
    elif is_in_doubt(saga, progress):
        assert saga.pivot is not None  # only a pivot leaves doubt
        yield saga.pivot, Request.BAR
    else:
        for step, _ in _held_up(saga, progress):
            yield step, Request.RETRY


def askable(saga: Saga, progress: Progress) -> Iterator[tuple[str, Request]]:
    """Yield the requests a person may have sent at once: the wanted ones, otherwise one for the awaited step.

    An awaited step reports again what it decided and retries what it has begun. If it has done neither, it is left to
    its own message, which is still to come. Only for a saga that has not ended and whose ledgers agree.
    """
    requests = list(wanted(saga, progress))
    waiting = awaited(saga, progress)
    if requests:
        yield from requests
    elif waiting is not None:
        yield waiting[0], Request.RETRY
    elif progress.began_ms is None:
        yield BEGINNING, Request.RETRY


def awaited(saga: Saga, progress: Progress) -> tuple[str, int, int] | None:
    """Return the step that a saga going forward waits for, since when, and until when (epoch ms); None without one."""
    since = progress.began_ms
    if since is None or is_turned_back(saga, progress) or is_in_doubt(saga, progress):
        return None
    bound = since + _ms(saga.within) if saga.within is not None else None
    for at, step in enumerate(saga.steps):
        done = progress.fact(step.name, Kind.DONE) or progress.fact(step.name, Kind.STATED_DONE)
        if done is not None:
            since = done.at_ms
            continue
        until = since + _ms(step.within)
        if bound is not None and not saga.is_after_pivot(at):
            until = min(until, bound)
        return step.name, since, until
    return None


def timer(saga: Saga, progress: Progress, now_ms: int) -> int | None:
    """Return when to look at the saga again if nothing happens (epoch ms); None once it has ended.

    If there is nothing to wait for, that is an hour from now: a timer left in the past would fire for ever.
    """
    if status(saga, progress).is_end:
        return None
    due = [ask_again_at(saga, progress, step, request) for step, request in wanted(saga, progress)]
    waiting = awaited(saga, progress)
    if waiting is not None and not progress.has(waiting[0], Kind.OVERDUE):
        due.append(waiting[2])
    if progress.began_ms is None and not progress.has(BEGINNING, Kind.OVERDUE):
        due.append(progress.first_ms + _ms(saga.patience))
    return min(due, default=now_ms + _ms(LONGEST_PACE))


def ask_again_at(saga: Saga, progress: Progress, step: str, request: Request) -> int:
    """Return when a request is due (epoch ms).

    The first undo or bar is due at once, the first retry after ``patience``; each repetition waits twice as long, at
    most an hour.
    """
    ask = progress.asks.get(step)
    if ask is not None and ask.request is request:
        return ask.at_ms + min(_ms(saga.patience) << min(ask.times - 1, 20), _ms(LONGEST_PACE))
    if request is Request.RETRY:
        known = progress.facts[step]
        gave_up = min(known[kind].at_ms for kind in (Kind.GAVE_UP, Kind.REFUSED, Kind.OVERDUE) if kind in known)
        return gave_up + _ms(saga.patience)
    return 0


def reason(saga: Saga, progress: Progress) -> str:
    """Return why the saga did not simply go forward, in words for people; empty if it did."""
    if progress.kinds <= _SMOOTH:
        return ""
    said = [
        (fact.at_ms, f"{step}: {fact.reason or kind}{f' ({fact.actor})' if fact.actor else ''}")
        for step, known in progress.facts.items()
        for kind, fact in known.items()
        if kind in _REASONS
    ]
    if said:
        return min(said)[1]
    pivot = saga.pivot
    is_barred = pivot is not None and progress.has(pivot, Kind.BARRED)
    return next(troubles(saga, progress), f"{pivot}: barred" if is_barred else "")


def _stops(saga: Saga, progress: Progress, step: str) -> bool:
    """Tell whether a step is known to prevent every later step."""
    known = progress.facts.get(step)
    if not known:
        return False
    is_against = Kind.REFUSED in known or Kind.BARRED in known
    if step == saga.pivot:
        return (is_against or Kind.STATED_UNDONE in known) and Kind.STATED_DONE not in known
    return is_against


def _has_gone_forward(saga: Saga, progress: Progress) -> bool:
    """Tell whether nothing of the saga may be undone any more."""
    pivot = saga.pivot
    if pivot is not None:
        return is_done(progress, pivot)
    return all(is_done(progress, s.name) for s in saga.steps) and not is_turned_back(saga, progress)


def _held_up(saga: Saga, progress: Progress) -> Iterator[tuple[str, list[Kind]]]:
    """Yield the steps that must be done because the pivot is, but are not, with the kinds of fact that hold them up.

    A step before the pivot has certainly happened; it is overdue if its event never reached the coordinator.
    """
    pivot = saga.pivot
    if pivot is None or not is_done(progress, pivot):
        return
    for at, step in enumerate(saga.steps):
        known = progress.facts.get(step.name, {})
        kinds = (Kind.GAVE_UP, Kind.REFUSED, Kind.OVERDUE) if saga.is_after_pivot(at) else (Kind.OVERDUE,)
        held_up_by = [kind for kind in kinds if kind in known]
        if held_up_by and not is_done(progress, step.name):
            yield step.name, held_up_by


def _refused_at(saga: Saga, progress: Progress) -> int | None:
    upto = saga.pivot_at + 1 if saga.pivot_at is not None else len(saga.steps)
    if Kind.REFUSED not in progress.kinds:
        return None
    return next((at for at in range(upto) if progress.has(saga.steps[at].name, Kind.REFUSED)), None)


def _ms(duration: timedelta) -> int:
    return duration // _MS
