"""The diagram says what the table says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sagastream import Event, Saga, Step
from sagastream.saga.diagram import diagram
from tests.trip import TRIP


class Begun(Event, by="end"): ...


class Measured(Event, by="quality-lab"): ...


class Unmeasured(Event, by="quality-lab"): ...


def test_the_way_forward_passes_every_event_to_who_comes_next() -> None:
    lines = [line.strip() for line in diagram(TRIP).splitlines()]

    forward = lines[lines.index("alt trip: every step is done") + 1 : lines.index("else hold room is refused")]

    assert forward == [
        "desk->>hotel: TripBooked",
        "hotel->>bank: RoomHeld",
        "bank->>desk: CardCharged",
        "Note over desk: confirm is the pivot, from here on nothing is undone",
        "desk->>coordinator: TripConfirmed",
        "Note over coordinator: Completed",
    ]


def test_a_refusal_undoes_what_came_before_newest_first() -> None:
    drawn = diagram(TRIP)

    refused = drawn[drawn.index("else charge card is refused") : drawn.index("else a step is overdue")]

    assert [line.split(": ")[1] for line in refused.splitlines() if ": " in line] == [
        "CardDeclined",
        "UndoRequested (hold room)",
        "RoomGivenBack",
        "UndoRequested (begin)",
        "TripCancelled",
        "Compensated",
    ]


def test_a_refusal_of_the_first_step_fails_the_saga() -> None:
    drawn = diagram(TRIP)

    refused = drawn[drawn.index("else hold room is refused") : drawn.index("else charge card is refused")]

    assert refused.strip().splitlines()[-1].strip() == "Note over coordinator: Failed"


def test_doubt_is_settled_by_the_bar_of_the_pivot() -> None:
    doubt = diagram(TRIP).partition("else a step is overdue or gave up")[2]

    events = [line.split(": ")[1] for line in doubt.splitlines() if ": " in line]

    assert events[:4] == ["BarRequested (confirm)", "TripConfirmed", "the saga goes on forward", "StepBarred"]
    assert "UndoRequested (charge card)" in events


def test_a_table_without_pivot_asks_every_step() -> None:
    steps = tuple(replace(step, pivot=False) for step in TRIP.steps[:2])

    doubt = diagram(replace(TRIP, steps=steps)).partition("else a step is overdue")[2]

    assert "BarRequested" not in doubt
    assert doubt.index("(charge card)") < doubt.index("(hold room)") < doubt.index("(begin)")


def test_names_that_mean_something_to_mermaid_are_renamed() -> None:
    step = Step("measure", by="quality-lab", done=Measured, undone=Unmeasured, within=timedelta(seconds=1))

    drawn = diagram(Saga("lab", 1, begins_with=Begun, begun_by="end", steps=(step,)))

    assert "participant end_ as end\n" in drawn
    assert "participant quality_lab as quality-lab\n" in drawn
    assert "end_->>quality_lab: Begun\n" in drawn
