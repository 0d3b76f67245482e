"""A stage on which the stranger's own part is wrong: it says what is wrong with it, not only that sagas do not end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from sagastream import Participant, Transaction
from sagastream.testing import Scenario, Stage, Untrue, simulate
from tests.trip import TRIP, RoomGivenBack, RoomHeld, TripBooked, bank, desk


def _broken_hotel() -> Participant:
    hotel = Participant("hotel")

    @hotel.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        raise ValueError(f"no room for {trip.nights}")

    @hotel.undo(RoomHeld)
    async def give_room_back(held: RoomHeld, tx: Transaction) -> RoomGivenBack:
        return RoomGivenBack()

    return hotel


async def _book(stage: Stage, number: int) -> str:
    return await stage.begin(desk, TripBooked(nights=2), key=f"trip-{number}")


def _forgets(stage: Stage, number: int) -> Awaitable[None]:
    async def book() -> None:
        await _book(stage, number)

    return book()


def test_what_handlers_raise_is_in_the_report_and_what_the_stage_made_them_raise_is_not() -> None:
    """Sagas that all fail look alike; the error and its line are what the stranger needs, and no log is at hand."""
    report = simulate(Scenario([TRIP], [desk, _broken_hotel(), bank], _book), seeds=20)

    (told,) = report.raised
    assert "Completed" not in report.ends
    assert report.seen["handler raised"]
    assert report.raised[told] > 20
    assert told.startswith("hotel.hold_room at ")
    assert told.endswith("ValueError: no room for 2")
    assert f"{__file__}:" in told


def test_a_lie_begins_with_what_does_not_fit_together() -> None:
    """Whose participant is not in the scenario never answers: the story alone says only that sagas do not end."""
    with pytest.raises(Untrue, match="not ended") as caught:
        simulate(Scenario([TRIP], [desk, bank], _book), seeds=5)

    assert "check: saga 'trip': no participant is named 'hotel'" in str(caught.value).splitlines()


Begin = Callable[[Stage, int], Awaitable[str]]


@pytest.mark.parametrize(
    ("begin", "told"),
    [
        (_forgets, "must return the saga's id, got None"),
        (_book, "'desk' is not among the participants of the scenario: bank"),
    ],
)
def test_a_beginning_that_cannot_work_is_told_as_what_it_is(begin: Begin, told: str) -> None:
    """Neither as a saga that never ends nor as a name that some table lacks."""
    cast = [bank] if begin is _book else [desk, _broken_hotel(), bank]

    with pytest.raises(Untrue, match=told):
        simulate(replace(Scenario([TRIP], cast, _book), begin=begin), seeds=1)
