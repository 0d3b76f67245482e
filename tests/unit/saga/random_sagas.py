"""Tables nobody wrote: any number of steps, the pivot anywhere or nowhere, refusals and cancellations or not."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import cache
from types import new_class

from sagastream.event import Event, Refusal
from sagastream.saga.definition import Saga, Step

MOST_STEPS = 5


@cache
def _event(name: str, by: str, *, refuses: bool = False) -> type[Event]:
    return new_class(name, (Refusal if refuses else Event,), {"by": by})


def a_saga(chance: random.Random) -> tuple[Saga, frozenset[str]]:
    """Return a table that could work, and which of its steps call outside."""
    count = chance.randint(1, MOST_STEPS)
    pivot_at = chance.choice([None, *range(count)])
    steps = [_step(chance, at, pivot_at) for at in range(count)]
    saga = Saga(
        "any",
        version=1,
        begins_with=_event("Begun", "beginner"),
        begun_by="beginner",
        cancelled_by=_event("Unbegun", "beginner") if chance.random() < 0.7 else None,
        cancellation=_event("Unwanted", "beginner") if chance.random() < 0.5 else None,
        within=timedelta(seconds=chance.choice([10, 100])) if chance.random() < 0.5 else None,
        steps=tuple(steps),
    )
    return saga, frozenset(step.name for step in steps if chance.random() < 0.3)


def _step(chance: random.Random, at: int, pivot_at: int | None) -> Step:
    by = "beginner" if at == pivot_at and chance.random() < 0.5 else f"worker-{at}"
    is_undone = pivot_at is None or at < pivot_at
    return Step(
        f"step-{at}",
        by=by,
        done=_event(f"Done{at}", by),
        within=timedelta(seconds=chance.choice([5, 30, 90])),
        refused=_event(f"Refused{at}", by, refuses=True) if chance.random() < 0.6 else None,
        undone=_event(f"Undone{at}", by) if is_undone else None,
        pivot=at == pivot_at,
    )
