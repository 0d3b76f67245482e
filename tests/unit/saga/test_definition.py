"""A table that could not work is refused when it is made."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sagastream import DefinitionError, Event, Saga, Step
from tests.trip import TRIP, hotel


@pytest.mark.parametrize("name", ["hold|room", "hold\nroom", "hold\x00room"])
def test_a_step_whose_name_would_break_a_counters_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="printable and without"):
        replace(TRIP, steps=(replace(TRIP.steps[0], name=name), *TRIP.steps[1:]))


@pytest.mark.parametrize("none", [timedelta(0), timedelta(seconds=-1)])
def test_a_table_that_has_no_patience_or_no_time_is_refused(none: timedelta) -> None:
    """Whoever does not answer would be asked again at every look, forty times a second and for ever."""
    with pytest.raises(DefinitionError, match="patience and within must be some time"):
        replace(TRIP, patience=none)
    with pytest.raises(DefinitionError, match="patience and within must be some time"):
        replace(TRIP, within=none)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"steps": (replace(TRIP.steps[0], by=hotel),)}, "by of step 'hold room' must be .* name.*'hotel', not itself"),  # type: ignore[arg-type]
        ({"version": "1"}, "the version must be a whole number such as 1, got '1'"),
        ({"within": 30}, r"within must be a time such as timedelta\(seconds=30\), got 30"),
        ({"patience": "1m"}, "patience must be a time .*, got '1m'"),
        ({"steps": TRIP.steps[0]}, r"steps must be .* with a comma also behind a single one, got Step\(.*"),
        ({"steps": ("hold room",)}, r"steps must be a tuple of Step.*, got \('hold room',\)"),
        ({"begins_with": "TripBooked"}, "'TripBooked' must be the class of an event"),
        ({"cancelled_by": 1}, "1 must be the class of an event"),
    ],
)
def test_what_is_of_another_type_is_told_in_words(table: dict[str, Any], told: str) -> None:
    """The type checker of a stranger may be none."""
    with pytest.raises(DefinitionError, match=f"saga 'trip': {told}"):
        replace(TRIP, **table)


HOLD, CHARGE, CONFIRM = TRIP.steps


class RoomSwept(Event, by="the hotel"): ...


class RoomRefused(Event, by="hotel"): ...


class TripTakenBack(Event, by="desk"): ...


ODD = Step("sweep room", by="the hotel", done=RoomSwept, within=HOLD.within)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"steps": ()}, "has no steps"),
        ({"name": "Trip"}, "name and version must look like 'trip', 1; got 'Trip', 1"),
        ({"version": 0}, "name and version must look like 'trip', 1; got 'trip', 0"),
        ({"steps": (HOLD, CHARGE, CONFIRM, replace(CONFIRM, name="once more"))}, "more than one pivot"),
        ({"steps": (HOLD, CHARGE, replace(CONFIRM, name=HOLD.name))}, "step names must be present, different"),
        ({"steps": (HOLD, CHARGE, replace(CONFIRM, name=""))}, "step names must be present, different"),
        ({"steps": (HOLD, CHARGE, replace(CONFIRM, name="begin"))}, "step names must be .* not 'begin'"),
        ({"cancelled_by": CONFIRM.done}, "event TripConfirmed has more than one meaning"),
        ({"steps": (HOLD, CHARGE, CONFIRM, ODD)}, "'the hotel' of step 'sweep room' must look like 'stock'"),
        ({"steps": (replace(HOLD, within=timedelta(0)), CHARGE, CONFIRM)}, "'hold room' must be given some time"),
        ({"steps": (replace(HOLD, refused=RoomRefused), CHARGE, CONFIRM)}, "RoomRefused refuses .* must be a Refusal"),
        ({"steps": (replace(HOLD, undone=None), CHARGE, CONFIRM)}, "'hold room' comes before the pivot and needs"),
        ({"steps": (HOLD, CHARGE, replace(CONFIRM, undone=TripTakenBack))}, "'confirm' is never undone"),
        ({"steps": (replace(CONFIRM, name="first"), HOLD)}, "'hold room' is never undone"),
    ],
)  # fmt: skip
def test_a_table_that_could_not_work_says_why(table: dict[str, Any], told: str) -> None:
    """Each would otherwise be found by the first saga that comes to it."""
    with pytest.raises(DefinitionError, match=f"saga '[tT]rip'.*{told}"):
        replace(TRIP, **table)


def test_a_step_that_is_given_a_number_for_a_time_is_refused() -> None:
    hurried = replace(TRIP.steps[0], within=30)  # type: ignore[arg-type]  # that is what is tried
    with pytest.raises(DefinitionError, match="within of step 'hold room' must be a time"):
        replace(TRIP, steps=(hurried, *TRIP.steps[1:]))


def test_a_step_that_says_done_by_a_refusal_is_refused() -> None:
    """Its participant would never count it as done, and the saga would run out of time."""
    first = TRIP.steps[0]
    assert first.refused is not None
    with pytest.raises(DefinitionError, match=r"NoRoomLeft says .* 'hold room' is done and must not be a Refusal"):
        replace(TRIP, steps=(replace(first, done=first.refused, refused=None), *TRIP.steps[1:]))


def test_a_step_that_names_what_is_no_event_is_refused() -> None:
    named = replace(TRIP.steps[0], undone="RoomGivenBack")  # type: ignore[arg-type]  # that is what is tried
    with pytest.raises(DefinitionError, match="'RoomGivenBack' must be the class of an event"):
        replace(TRIP, steps=(named, *TRIP.steps[1:]))


def test_who_publishes_its_first_event_begins_a_saga_whoever_performs_the_pivot() -> None:
    """The class says so already: to be told besides that begun_by is missing would help nobody."""
    hold_room = replace(TRIP.steps[0], pivot=True, undone=None)

    assert Saga("stay", version=1, begins_with=TRIP.begins_with, steps=(hold_room,)).begun_by == "desk"
