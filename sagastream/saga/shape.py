"""The parts of a table that decide how its sagas are judged, as lines for people to compare. Pure.

Times are not among them: the time limits of a saga may change while it is under way.
"""

from __future__ import annotations

from collections.abc import Sequence

from sagastream.event import Event
from sagastream.saga.definition import BEGINNING, Saga


def shape(saga: Saga) -> tuple[str, ...]:
    """Return a line for the beginning and one for each step, in their order."""
    begins = _line(
        BEGINNING, saga.begun_by, "", saga.begins_with, undone=saga.cancelled_by, cancellation=saga.cancellation
    )
    steps = (
        _line(step.name, step.by, ", pivot" if step.pivot else "", step.done, refused=step.refused, undone=step.undone)
        for step in saga.steps
    )
    return (begins, *steps)


def difference(before: Sequence[str], now: Sequence[str]) -> str:
    """Return in words how one shape differs from another, empty if they are the same."""
    told = [f"without {line!r}" for line in before if line not in now]
    told += [f"with {line!r}" for line in now if line not in before]
    if not told and tuple(before) != tuple(now):
        return f"its steps in another order: {', '.join(line.partition(' by ')[0] for line in now)}"
    return ", ".join(told)


def _line(name: str, by: str, mark: str, done: type[Event], **others: type[Event] | None) -> str:
    said = [f"{meaning} {kind.type_name()}" for meaning, kind in others.items() if kind is not None]
    return f"{name} by {by}{mark}: {', '.join([done.type_name(), *said])}"
