"""What a person may do about a saga, and what follows from it. Pure; decides, writes nothing.

An action is taken only while the saga has not ended: the commit that stores it expects the very record on which it was
decided, so no saga ever leaves a terminal status.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sagastream.saga import lifecycle
from sagastream.saga.advance import Advance, advance, ask_now, has_ended
from sagastream.saga.attention import Effect, Open, left_open, open_items
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Fact, Happening, Kind, Progress


class Act(StrEnum):
    """What a person does about a saga."""

    COMPENSATE = "compensate"
    RETRY = "retry"
    RESOLVE = "resolve"
    ABORT = "abort"


class Because(StrEnum):
    """Why an action is refused."""

    ENDED = "ended"
    PAST_PIVOT = "past the pivot"
    CONTRADICTION = "contradiction"
    NOT_OPEN = "not open"


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done, who wants it, and why.

    ``RESOLVE`` states the ``effect`` of a step, on ``evidence``.
    """

    act: Act
    actor: str
    reason: str
    step: str = ""
    effect: Effect | None = None
    evidence: str = ""

    @property
    def why(self) -> str:
        """Return the reason and the evidence in one text."""
        return f"{self.reason} (evidence: {self.evidence})" if self.evidence else self.reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an action leads to: ``turn`` is to be stored, None if nothing changes.

    ``told`` describes it for people. ``refused`` is why the action may not be taken, None if it is taken or was before.
    """

    turn: Advance | None
    told: str
    refused: Because | None = None


def repair(saga: Saga, progress: Progress, action: Action, *, id: str, now_ms: int) -> Verdict:
    """Return what an action leads to, as things stand; ``id`` becomes the id of its fact."""
    status = lifecycle.status(saga, progress)
    if status.is_end:
        return Verdict(None, _ended(status, action.act), Because.ENDED)
    if has_ended(progress) and action.act in (Act.COMPENSATE, Act.ABORT):
        told = "it had ended, and a ledger contradicts that since: resolve what is open"
        return Verdict(None, told, Because.ENDED)
    match action.act:
        case Act.COMPENSATE:
            return _compensate(saga, progress, action, id, now_ms)
        case Act.RETRY:
            return _retry(saga, progress, now_ms)
        case Act.RESOLVE:
            return _resolve(saga, progress, action, id, now_ms)
        case Act.ABORT:
            return _abort(saga, progress, action, id, now_ms)


def _compensate(saga: Saga, progress: Progress, action: Action, id: str, now_ms: int) -> Verdict:
    pivot = saga.pivot
    if pivot is not None and lifecycle.is_done(progress, pivot):
        told = f"{pivot!r} is done, and nothing is undone after it: the saga goes on forward"
        return Verdict(None, told, Because.PAST_PIVOT)
    contradiction = next(lifecycle.contradictions(saga, progress), None)
    if contradiction is not None:
        told = f"the ledgers contradict the record, which must be resolved first: {contradiction}"
        return Verdict(None, told, Because.CONTRADICTION)
    if lifecycle.is_turned_back(saga, progress):
        return Verdict(None, "it is being undone already")
    if progress.has(BEGINNING, Kind.CANCELLED):
        return Verdict(None, "whether it can be turned back is being asked already")
    fact = Fact(now_ms, id, action.reason, action.actor)
    turn = advance(saga, progress, [Happening(BEGINNING, Kind.CANCELLED, fact)], now_ms=now_ms)
    steps = ", ".join(lifecycle.to_undo(saga, turn.progress))
    if pivot is None:
        return Verdict(turn, f"it is turned back: {steps} are undone, in this order")
    judge = saga.performers[pivot]
    return Verdict(turn, f"{judge} is asked to bar {pivot!r}; unless that is done by now, {steps} are undone")


def _retry(saga: Saga, progress: Progress, now_ms: int) -> Verdict:
    contradiction = next(lifecycle.contradictions(saga, progress), None)
    if contradiction is not None:
        told = f"the ledgers contradict the record, and asking again would not help: {contradiction}"
        return Verdict(None, told, Because.CONTRADICTION)
    turn = ask_now(saga, progress, now_ms=now_ms)
    asked = "; ".join(f"{saga.performers[ask.step]} is asked {ask.request.purpose} {ask.step!r}" for ask in turn.asks)
    return Verdict(turn, asked)


def _resolve(saga: Saga, progress: Progress, action: Action, id: str, now_ms: int) -> Verdict:
    effect = action.effect
    items = open_items(saga, progress)
    if effect is None or not any(item.step == action.step and effect in item.effects for item in items):
        return Verdict(None, _not_open(items, action), Because.NOT_OPEN)
    fact = Fact(now_ms, id, action.why, action.actor)
    turn = advance(saga, progress, [Happening(action.step, effect.kind, fact)], now_ms=now_ms)
    return Verdict(turn, f"{action.step!r} counts as {effect} from now on; the saga is {turn.status}")


def _not_open(items: tuple[Open, ...], action: Action) -> str:
    wanted = f"{action.step!r} is not open as something to be stated {action.effect or 'either way'}"
    ways = ", ".join(f"{item.step!r} {' or '.join(item.effects)}" for item in items if item.effects)
    return f"{wanted}; what may be stated here: {ways or 'nothing'}"


def _abort(saga: Saga, progress: Progress, action: Action, id: str, now_ms: int) -> Verdict:
    fact = Fact(now_ms, id, action.reason, action.actor)
    turn = advance(saga, progress, [Happening(BEGINNING, Kind.ABORTED, fact)], now_ms=now_ms)
    return Verdict(turn, f"it is closed; left as it was: {'; '.join(left_open(saga, progress)) or 'nothing'}")


def _ended(status: Status, act: Act) -> str:
    if status is Status.COMPLETED and act is Act.COMPENSATE:
        return "it is Completed: every step is done, and nothing is undone after that"
    return f"it is {status}, and what has ended stays as it is"
