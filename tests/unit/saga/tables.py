"""Saga tables for the tests of the engine: one with a pivot and a step after it, one without a pivot."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from sagastream.event import Event, Refusal
from sagastream.saga.definition import BEGINNING, Saga, Step
from sagastream.saga.progress import Fact, Happening, Kind, Progress

T0 = 1_800_000_000_000


class Ordered(Event, by="order"): ...


class Cancelled(Event, by="order"): ...


class CancellationRequested(Event, by="order"):
    reason: str = "changed my mind"


class Reserved(Event, by="stock"): ...


class Shortage(Refusal, by="stock"): ...


class Released(Event, by="stock"): ...


class Charged(Event, by="payment"): ...


class Declined(Refusal, by="payment"): ...


class Refunded(Event, by="payment"): ...


class Confirmed(Event, by="order"): ...


class NotConfirmed(Refusal, by="order"): ...


class Notified(Event, by="mail"): ...


class NotNotified(Refusal, by="mail"): ...


RESERVE = Step("reserve", by="stock", done=Reserved, refused=Shortage, undone=Released, within=timedelta(seconds=30))
CHARGE = Step("charge", by="payment", done=Charged, refused=Declined, undone=Refunded, within=timedelta(seconds=60))
CONFIRM = Step("confirm", by="order", done=Confirmed, refused=NotConfirmed, pivot=True, within=timedelta(seconds=30))
NOTIFY = Step("notify", by="mail", done=Notified, refused=NotNotified, within=timedelta(minutes=5))

ORDER = Saga(
    "order", version=1, begins_with=Ordered, begun_by="order", cancelled_by=Cancelled,
    cancellation=CancellationRequested, within=timedelta(seconds=100), steps=(RESERVE, CHARGE, CONFIRM, NOTIFY),
)  # fmt: skip
PIVOTLESS = Saga(
    "pivotless", version=1, begins_with=Ordered, begun_by="order", cancelled_by=Cancelled,
    cancellation=CancellationRequested, steps=(RESERVE, CHARGE),
)  # fmt: skip
BY_PERSONS = (Kind.CANCELLED, Kind.ABORTED, Kind.STATED_DONE, Kind.STATED_UNDONE)
WORDS = {kind.value: kind for kind in Kind}


def happening(said: str, at_ms: int = T0) -> Happening:
    """Read ``"charge undo gave up"`` as a happening; the step comes first, ``begin`` is the beginning."""
    step, _, kind = said.partition(" ")
    return Happening(step, WORDS[kind], Fact(at_ms, said.replace(" ", "-"), f"because of {kind}"))


def known(*said: str, saga: Saga = ORDER) -> Progress:
    """Return a progress that knows these facts, one second apart."""
    return with_facts(Progress("saga-1", saga.name, saga.version), (happening(s, at(n)) for n, s in enumerate(said)))


def with_facts(progress: Progress, happenings: Iterable[Happening]) -> Progress:
    """Return the progress that also knows these."""
    for each in happenings:
        progress = progress.with_fact(each)
    return progress


def at(second: float) -> int:
    """Return an instant so many seconds after the beginning."""
    return T0 + int(second * 1000)


def every_fact(saga: Saga) -> list[str]:
    """Return everything that could ever be said about a saga by itself, without a person."""
    steps = [step.name for step in saga.steps]
    about_steps = [f"{step} {kind}" for step in steps for kind in Kind if kind not in BY_PERSONS]
    beginning = (Kind.DONE, Kind.UNDONE, Kind.BARRED, Kind.CANCELLED, Kind.OVERDUE, Kind.UNDO_GAVE_UP, Kind.LOST,
                 Kind.POISONED)  # fmt: skip
    return [*about_steps, *(f"{BEGINNING} {kind}" for kind in beginning)]
