"""What of a table decides about its sagas, told as lines: every part of it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sagastream import Event, Refusal, Saga
from sagastream.saga.shape import difference, shape
from tests.trip import TRIP

HOLD, CHARGE, CONFIRM = TRIP.steps


class OtherRoom(Event, by="hotel"): ...


class OtherRefusal(Refusal, by="hotel"): ...


class OtherReturn(Event, by="hotel"): ...


class OtherBeginning(Event, by="desk"): ...


class OtherEnd(Event, by="desk"): ...


class CalledOff(Event, by="desk"): ...


def test_a_shape_reads_as_the_table_does() -> None:
    """An operator who has only the log compares it with the code."""
    assert shape(TRIP) == (
        "begin by desk: TripBooked, undone TripCancelled",
        "hold room by hotel: RoomHeld, refused NoRoomLeft, undone RoomGivenBack",
        "charge card by bank: CardCharged, refused CardDeclined, undone CardRefunded",
        "confirm by desk, pivot: TripConfirmed",
    )


CHANGES: dict[str, Saga] = {
    "a step less": replace(TRIP, steps=(HOLD, CONFIRM)),
    "another order": replace(TRIP, steps=(CHARGE, HOLD, CONFIRM)),
    "another name": replace(TRIP, steps=(replace(HOLD, name="keep room"), CHARGE, CONFIRM)),
    "done by another event": replace(TRIP, steps=(replace(HOLD, done=OtherRoom), CHARGE, CONFIRM)),
    "refused by another event": replace(TRIP, steps=(replace(HOLD, refused=OtherRefusal), CHARGE, CONFIRM)),
    "undone by another event": replace(TRIP, steps=(replace(HOLD, undone=OtherReturn), CHARGE, CONFIRM)),
    "no pivot": replace(TRIP, steps=(HOLD, CHARGE, replace(CONFIRM, pivot=False, undone=OtherEnd))),
    "another beginning": replace(TRIP, begins_with=OtherBeginning),
    "cancelled by another event": replace(TRIP, cancelled_by=OtherEnd),
    "called off": replace(TRIP, cancellation=CalledOff),
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_whatever_decides_about_a_saga_is_a_difference(changed: Saga) -> None:
    """And it is told, in both directions."""
    assert difference(shape(TRIP), shape(changed))
    assert difference(shape(changed), shape(TRIP))


def test_times_are_no_difference() -> None:
    """A saga under way may be given more of them."""
    longer = replace(
        TRIP,
        steps=tuple(replace(step, within=timedelta(days=1)) for step in TRIP.steps),
        within=timedelta(days=2),
        patience=timedelta(hours=1),
    )

    assert difference(shape(TRIP), shape(longer)) == ""


def test_a_difference_is_told_by_the_lines_that_came_and_went() -> None:
    """Not the whole table: what to look at is short."""
    assert difference(shape(TRIP), shape(CHANGES["another name"])) == (
        "without 'hold room by hotel: RoomHeld, refused NoRoomLeft, undone RoomGivenBack',"
        " with 'keep room by hotel: RoomHeld, refused NoRoomLeft, undone RoomGivenBack'"
    )
    assert difference(shape(TRIP), shape(CHANGES["another order"])) == (
        "its steps in another order: begin, charge card, hold room, confirm"
    )
