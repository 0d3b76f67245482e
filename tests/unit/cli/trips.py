"""Trips as somebody who follows them hears of them, told in milliseconds since their beginning."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sagastream.answers import moment
from sagastream.cli.followed import Followed
from sagastream.coordinator.listing import Stored
from sagastream.coordinator.records import Note, Record
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.progress import Fact, Happening, Kind, Progress
from tests.trip import TRIP

T0 = 1_700_000_000_000  # 2023-11-14 22:13:20 UTC
BEGAN = (0, "TripBooked", "desk", BEGINNING, Kind.DONE)
HELD = (5, "RoomHeld", "hotel", "hold room", Kind.DONE)
CHARGED = (9, "CardCharged", "bank", "charge card", Kind.DONE)
CONFIRMED = (12, "TripConfirmed", "desk", "confirm", Kind.DONE)
DECLINED = (9, "CardDeclined", "bank", "charge card", Kind.REFUSED, "the card is bad")
GIVEN_BACK = (14, "RoomGivenBack", "hotel", "hold room", Kind.UNDONE)
CANCELLED = (18, "TripCancelled", "desk", BEGINNING, Kind.UNDONE)
OVERDUE = (30_005, "StepOverdue", "saga", "charge card", Kind.OVERDUE, "nothing heard from bank for 30 s")

Told = tuple[Any, ...]


def at(ms: int) -> datetime:
    """Return the instant so long after a trip's beginning."""
    found = moment(T0 + ms)
    assert found is not None
    return found


def a_trip(*told: Told, saga: Saga | None = TRIP) -> Followed:
    """Return a trip of which these facts were heard."""
    progress = Progress("trip-1", "trip", 1, "ann")
    followed = Followed(Stored(Record(progress, "Started", 0), None), saga)
    for each in told:
        hear(followed, *each)
    return followed


def hear(
    followed: Followed, ms: int, type_: str, source: str, step: str = "", kind: Kind | str = "", reason: str = "",
    cause: str = "", actor: str = "",
) -> None:  # fmt: skip
    """Hear of a fact, or of something that is none."""
    id_ = f"{type_} {step} {ms}"
    happening = Happening(step, kind, Fact(T0 + ms, id_, reason)) if isinstance(kind, Kind) else None
    followed.hear(Note(T0 + ms, id_, type_, source, cause, step, kind, reason, actor), happening)
