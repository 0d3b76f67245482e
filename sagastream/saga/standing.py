"""How a saga stands, for people: the state of each step and what is left. Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sagastream.saga import lifecycle
from sagastream.saga.definition import Saga
from sagastream.saga.progress import Kind, Progress, Request

_ENDED = (Kind.DONE, Kind.STATED_DONE, Kind.REFUSED, Kind.BARRED)


class StepStatus(StrEnum):
    """Where one step stands."""

    PENDING = "Pending"
    WAITING = "Waiting"
    DONE = "Done"
    REFUSED = "Refused"
    UNDOING = "Undoing"
    UNDONE = "Undone"
    BARRED = "Barred"
    OVERDUE = "Overdue"
    GAVE_UP = "GaveUp"


class UndoStatus(StrEnum):
    """Where the undo of one step stands, once its saga is being compensated."""

    PENDING = "Pending"
    ASKED = "Asked"
    UNDONE = "Undone"
    BARRED = "Barred"
    GAVE_UP = "GaveUp"
    LEDGER_LOST = "LedgerLost"


@dataclass(frozen=True, slots=True)
class Standing:
    """One step as it stands; instants are epoch ms.

    ``started_ms`` is when the step before it was done, the nearest instant that is known; ``event_ids`` maps each kind
    of fact to the event that reported it.
    """

    name: str
    service: str
    status: StepStatus
    started_ms: int | None
    ended_ms: int | None
    event_ids: Mapping[Kind, str]
    error: str | None
    undo: UndoStatus | None


def standings(saga: Saga, progress: Progress) -> Iterator[Standing]:
    """Yield every step as it stands, the beginning first."""
    undoing = lifecycle.to_undo(saga, progress) if lifecycle.is_turned_back(saga, progress) else []
    waiting = lifecycle.awaited(saga, progress)
    awaited = waiting[0] if waiting is not None else None
    started_ms = progress.began_ms
    for name, by in saga.performers.items():
        known = progress.facts.get(name, {})
        ended = next((known[kind].at_ms for kind in _ENDED if kind in known), None)
        undo = _undo(progress, name) if name in undoing else None
        yield Standing(
            name=name,
            service=by,
            status=_status(progress, name, undo, is_awaited=name == awaited),
            started_ms=started_ms,
            ended_ms=ended,
            event_ids={kind: fact.event_id for kind, fact in sorted(known.items(), key=lambda item: item[1].at_ms)},
            error=_error(progress, name),
            undo=undo,
        )
        done = progress.fact(name, Kind.DONE) or progress.fact(name, Kind.STATED_DONE)
        started_ms = done.at_ms if done else None


def remaining(saga: Saga, progress: Progress) -> list[str]:
    """Return the steps that an unfinished saga still has to do or, once it is being compensated, to undo."""
    if lifecycle.is_turned_back(saga, progress):
        return [step for step in lifecycle.to_undo(saga, progress) if not lifecycle.is_settled(progress, step)]
    return [name for name in saga.names if not lifecycle.is_done(progress, name)]


def _status(progress: Progress, name: str, undo: UndoStatus | None, *, is_awaited: bool) -> StepStatus:
    settled_or_asked = {
        UndoStatus.UNDONE: StepStatus.UNDONE,
        UndoStatus.BARRED: StepStatus.BARRED,
        UndoStatus.ASKED: StepStatus.UNDOING,
        UndoStatus.GAVE_UP: StepStatus.GAVE_UP,
        UndoStatus.LEDGER_LOST: StepStatus.GAVE_UP,
    }
    if undo in settled_or_asked:
        return settled_or_asked[undo]
    for kind, status in (
        (Kind.STATED_UNDONE, StepStatus.UNDONE),
        (Kind.STATED_DONE, StepStatus.DONE),
        (Kind.DONE, StepStatus.DONE),
        (Kind.BARRED, StepStatus.BARRED),
        (Kind.REFUSED, StepStatus.REFUSED),
        (Kind.GAVE_UP, StepStatus.GAVE_UP),
        (Kind.OVERDUE, StepStatus.OVERDUE),
    ):
        if progress.has(name, kind):
            return status
    return StepStatus.WAITING if is_awaited else StepStatus.PENDING


def _undo(progress: Progress, name: str) -> UndoStatus:
    for kind, status in (
        (Kind.UNDONE, UndoStatus.UNDONE),
        (Kind.STATED_UNDONE, UndoStatus.UNDONE),
        (Kind.BARRED, UndoStatus.BARRED),
        (Kind.LOST, UndoStatus.LEDGER_LOST),
        (Kind.UNDO_GAVE_UP, UndoStatus.GAVE_UP),
    ):
        if progress.has(name, kind):
            return status
    ask = progress.asks.get(name)
    return UndoStatus.ASKED if ask is not None and ask.request is Request.UNDO else UndoStatus.PENDING


def _error(progress: Progress, name: str) -> str | None:
    known = progress.facts.get(name, {})
    kinds = (Kind.LOST, Kind.UNDO_GAVE_UP, Kind.POISONED, Kind.REFUSED, Kind.GAVE_UP, Kind.OVERDUE)
    return next((known[kind].reason or str(kind) for kind in kinds if kind in known), None)
