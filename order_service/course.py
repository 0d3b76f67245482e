"""The answer that shows clients an order's saga. Pure: a record and its history in, an answer out.

Source: CONTRACT part D. The coordinator shows the whole state of a saga.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum

from pydantic import ConfigDict
from pydantic.config import JsonDict

from order_service.answers import EXAMPLE_IDS
from order_service.model import Order, Status
from order_service.promises import PROMISES
from sagastream.answers import Answer, Moment, instant
from sagastream.coordinator.records import Record
from sagastream.event import (
    BarRequested,
    RetryRequested,
    SagaAborted,
    SagaCompensationCompleted,
    SagaCompensationStarted,
    SagaCompleted,
    SagaFailed,
    SagaNeedsAttention,
    SagaStarted,
    UndoRequested,
)
from sagastream.masking import legible
from sagastream.saga.lifecycle import Status as SagaStatus
from sagastream.saga.lifecycle import is_settled
from sagastream.saga.progress import Ask, Kind, Progress, Request


class EntryStatus(StrEnum):
    """What happened to a step, or to the whole saga, at one moment."""

    DONE = "Done"
    REFUSED = "Refused"
    UNDONE = "Undone"
    BARRED = "Barred"
    GAVE_UP = "GaveUp"
    UNDO_GAVE_UP = "UndoGaveUp"
    LEDGER_LOST = "LedgerLost"
    OVERDUE = "Overdue"
    CANCELLED = "Cancelled"
    POISONED = "Poisoned"
    ABORTED = "Aborted"
    ASKED = "Asked"
    STARTED = "Started"
    COMPLETED = "Completed"
    FAILED = "Failed"
    COMPENSATING = "Compensating"
    COMPENSATED = "Compensated"
    NEEDS_ATTENTION = "NeedsAttention"
    NOTED = "Noted"


_BY_KIND: Mapping[str, EntryStatus] = {
    Kind.DONE: EntryStatus.DONE,
    Kind.REFUSED: EntryStatus.REFUSED,
    Kind.UNDONE: EntryStatus.UNDONE,
    Kind.BARRED: EntryStatus.BARRED,
    Kind.GAVE_UP: EntryStatus.GAVE_UP,
    Kind.UNDO_GAVE_UP: EntryStatus.UNDO_GAVE_UP,
    Kind.LOST: EntryStatus.LEDGER_LOST,
    Kind.OVERDUE: EntryStatus.OVERDUE,
    Kind.CANCELLED: EntryStatus.CANCELLED,
    Kind.POISONED: EntryStatus.POISONED,
    Kind.ABORTED: EntryStatus.ABORTED,
}
_BY_TYPE = {
    UndoRequested.type_name(): EntryStatus.ASKED,
    BarRequested.type_name(): EntryStatus.ASKED,
    RetryRequested.type_name(): EntryStatus.ASKED,
    SagaStarted.type_name(): EntryStatus.STARTED,
    SagaCompleted.type_name(): EntryStatus.COMPLETED,
    SagaFailed.type_name(): EntryStatus.FAILED,
    SagaCompensationStarted.type_name(): EntryStatus.COMPENSATING,
    SagaCompensationCompleted.type_name(): EntryStatus.COMPENSATED,
    SagaNeedsAttention.type_name(): EntryStatus.NEEDS_ATTENTION,
    SagaAborted.type_name(): EntryStatus.ABORTED,
}


_EXAMPLE: JsonDict = {
    **EXAMPLE_IDS,
    "status": "InProgress",
    "currentStep": "charge payment",
    "history": [
        {
            "step": "reserve stock",
            "status": "Done",
            "message": "StockReserved by stock",
            "timestamp": "2026-01-31T12:00:00.562Z",
        }
    ],
}


class EntryView(Answer):
    """One entry of the history; ``step`` is null where it concerns the whole saga."""

    step: str | None
    status: EntryStatus
    message: str
    timestamp: Moment


class CourseView(Answer):
    """The state of an order's saga; ``currentStep`` is the step being done or undone, null once the saga has ended."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    order_id: str
    saga_id: str
    status: SagaStatus
    current_step: str | None
    history: list[EntryView]


def course(order: Order, record: Record | None, history: Iterable[str]) -> CourseView | None:
    """Return the state of an order's saga; None if the order is settled and the record no longer kept.

    Without a record, a pending order counts as just begun: the coordinator may not have read its first event yet.
    """
    if record is None and order.status is not Status.PENDING:
        return None
    status = SagaStatus.STARTED if record is None else SagaStatus(record.status)
    progress = Progress(order.saga_id, "order", 1) if record is None else record.progress
    return CourseView(
        order_id=order.id,
        saga_id=order.saga_id,
        status=status,
        current_step=None if status.is_end else _current_step(progress),
        history=sorted((_entry(json.loads(note)) for note in history), key=lambda entry: entry.timestamp),
    )


def _current_step(progress: Progress) -> str | None:
    """Return the step of the latest unanswered request, or else the first step that is not done."""
    asked = [(ask.at_ms, step) for step, ask in progress.asks.items() if not _has_answered(progress, step, ask)]
    if asked:
        return max(asked)[1]
    return next((promise.step for promise in PROMISES if not progress.has(promise.step, Kind.DONE)), None)


def _has_answered(progress: Progress, step: str, ask: Ask) -> bool:
    if ask.request is Request.UNDO:
        return is_settled(progress, step)
    return progress.has(step, Kind.DONE, Kind.BARRED)


def _entry(note: Mapping[str, str | int]) -> EntryView:
    kind, type_name = str(note.get("kind", "")), str(note.get("type", ""))
    reason = f": {note['reason']}" if note.get("reason") else ""
    return EntryView(
        step=str(note["step"]) if note.get("step") else None,
        status=_BY_KIND.get(kind) or _BY_TYPE.get(type_name, EntryStatus.NOTED),
        message=legible(f"{type_name} by {note.get('source', 'somebody')}{reason}"),
        timestamp=instant(int(note["at"])),
    )
