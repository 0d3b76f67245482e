"""What the coordinator does about a saga if no more events arrive, in words for people. Pure; asks the engine."""

from __future__ import annotations

from sagastream.saga.advance import Advance, Asked, tick
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.progress import Kind, Progress
from sagastream.saga.waiting import Wait


def next_turn(saga: Saga, progress: Progress, wait: Wait) -> str:
    """Return what happens when the wait ends without an answer; never empty."""
    if wait.until_ms is None:
        return "nothing by itself: a person must act" if wait.step else "nothing by itself: a person must resolve it"
    turn = tick(saga, progress, now_ms=wait.until_ms)
    said = [*_overdue(turn), *_asked(saga, turn)]
    return "; ".join(said) or "it is looked at again"


def _overdue(turn: Advance) -> list[str]:
    return [
        "the beginning counts as lost" if happening.step == BEGINNING else f"{happening.step} counts as overdue"
        for happening in turn.news
        if happening.kind is Kind.OVERDUE
    ]


def _asked(saga: Saga, turn: Advance) -> list[str]:
    return [f"{saga.performers[ask.step]} is asked {ask.request.purpose} {ask.step}{_times(ask)}" for ask in turn.asks]


def _times(ask: Asked) -> str:
    return f" (time {ask.times})" if ask.times > 1 else ""
