"""What keeps a saga from ending by itself, what would close it, and what a person left open by closing it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sagastream.saga import lifecycle
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Fact, Happening, Kind, Progress, Request
from sagastream.saga.waiting import answers

_POISON = "an event could not be understood"
_STUCK = (Kind.GAVE_UP, Kind.REFUSED, Kind.OVERDUE)


class Effect(StrEnum):
    """What a person found out about a step."""

    DONE = "done"
    UNDONE = "undone"

    @property
    def kind(self) -> Kind:
        """Return the kind of fact that states this effect."""
        return Kind.STATED_DONE if self is Effect.DONE else Kind.STATED_UNDONE

    @property
    def opposite(self) -> Effect:
        """Return the effect that must not be stated of the same step."""
        return Effect.UNDONE if self is Effect.DONE else Effect.DONE


@dataclass(frozen=True, slots=True)
class Open:
    """One thing that keeps a saga from ending by itself; instants are epoch ms.

    ``answer`` is the event by which ``service`` would close it; the service is asked again at ``again_ms``. Both are
    None if nobody is asked. ``effects`` are what a person may state about the step, with evidence, to close it.
    """

    step: str
    service: str
    problem: str
    since_ms: int
    answer: str | None = None
    again_ms: int | None = None
    effects: tuple[Effect, ...] = ()


def open_items(saga: Saga, progress: Progress) -> tuple[Open, ...]:
    """Return what is open in a saga that needs attention; empty for any other saga."""
    if lifecycle.status(saga, progress) is not Status.NEEDS_ATTENTION:
        return ()
    return tuple(_disputed(saga, progress)) or tuple(_failing(saga, progress))


def left_open(saga: Saga, progress: Progress) -> tuple[str, ...]:
    """Return each step whose effect is, or may be, not as it should be, with what is known about it."""
    if _is_past_pivot(saga, progress):
        wrong = [step for step in saga.names if not lifecycle.is_done(progress, step)]
    else:
        wrong = [step for step in saga.names[: _upto(saga)] if not lifecycle.is_settled(progress, step)]
        if saga.cancelled_by is None:
            wrong = [step for step in wrong if step != BEGINNING]
    return tuple(f"{step}: {_known(progress, step)}" for step in wrong)


def _disputed(saga: Saga, progress: Progress) -> Iterator[Open]:
    """Yield facts that cannot both be true, under each step about which a person's statement would settle them."""
    told: set[tuple[str, str]] = set()
    for step, problem in lifecycle.disputes(saga, progress):
        for about in dict.fromkeys((step, saga.pivot or step)):
            effects = tuple(effect for effect in Effect if _settles(saga, progress, about, effect, (step, problem)))
            if (effects or about == step) and (about, problem) not in told:
                told.add((about, problem))
                yield Open(about, saga.performers[about], problem, _since(progress, about), effects=effects)


def _settles(saga: Saga, progress: Progress, step: str, effect: Effect, dispute: tuple[str, str]) -> bool:
    if progress.has(step, effect.opposite.kind):
        return False  # two contradictory statements both lose their effect, and nothing would settle that
    stated = progress.with_fact(Happening(step, effect.kind, Fact(progress.last_ms, "")))
    return dispute not in lifecycle.disputes(saga, stated)


def _failing(saga: Saga, progress: Progress) -> Iterator[Open]:
    requests = dict(lifecycle.wanted(saga, progress))
    for step, service in saga.performers.items():
        request, effects = requests.get(step), _stateable(saga, progress, step, requests.get(step))
        answer = answers(saga, step, request) if request is not None else None
        again_ms = lifecycle.ask_again_at(saga, progress, step, request) if request is not None else None
        for fact, problem in _problems(saga, progress, step, request):
            if problem is _POISON:
                yield Open(step, service, f"{problem}: {fact.reason}", fact.at_ms)
            else:
                told = f"{problem}: {fact.reason}" if fact.reason else problem
                yield Open(step, service, told, fact.at_ms, answer, again_ms, effects)
    if (
        progress.began_ms is None
        and progress.has(BEGINNING, Kind.OVERDUE)
        and not lifecycle.is_turned_back(saga, progress)
    ):
        event = saga.begins_with.type_name()
        yield Open(BEGINNING, saga.begun_by, "the beginning was never seen", progress.first_ms, event)


def _problems(saga: Saga, progress: Progress, step: str, request: Request | None) -> Iterator[tuple[Fact, str]]:
    known = progress.facts.get(step, {})
    if Kind.POISONED in known:
        yield known[Kind.POISONED], _POISON
    if lifecycle.is_settled(progress, step) and request is not Request.RETRY:
        return
    has_judged = step == saga.pivot and lifecycle.is_done(progress, step)
    for kind, problem in ((Kind.LOST, "the ledger was lost"), (Kind.UNDO_GAVE_UP, "undoing it keeps failing")):
        if kind in known and not has_judged:
            yield known[kind], problem
    if request is Request.RETRY:
        kind = next(kind for kind in _STUCK if kind in known)
        yield known[kind], str(kind)


def _stateable(saga: Saga, progress: Progress, step: str, request: Request | None) -> tuple[Effect, ...]:
    """Return what a person may state about a step in trouble, so that the saga goes on."""
    if request is Request.UNDO:
        return (Effect.UNDONE,)
    if request is Request.BAR:
        return (Effect.DONE, Effect.UNDONE)
    is_stated = progress.has(step, Kind.STATED_UNDONE)
    if is_stated or not _is_past_pivot(saga, progress) or lifecycle.is_done(progress, step):
        return ()
    at = next((at for at, s in enumerate(saga.steps) if s.name == step), -1)
    return (Effect.DONE,) if request is Request.RETRY or saga.is_after_pivot(at) else ()


def _upto(saga: Saga) -> int:
    """Return how many steps, the beginning included, must not keep an effect once a saga does not go forward."""
    return len(saga.steps) + 1 if saga.pivot_at is None else saga.pivot_at + 2


def _is_past_pivot(saga: Saga, progress: Progress) -> bool:
    return saga.pivot is not None and lifecycle.is_done(progress, saga.pivot)


def _known(progress: Progress, step: str) -> str:
    known = sorted(progress.facts.get(step, {}).items(), key=lambda item: item[1].at_ms)
    return ", ".join(str(kind) for kind, _ in known if kind is not Kind.ABORTED) or "not heard of"


def _since(progress: Progress, step: str) -> int:
    return max((fact.at_ms for fact in progress.facts.get(step, {}).values()), default=progress.last_ms)
