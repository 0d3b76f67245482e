"""A saga's timeline as text: every turn it can take is told by a shape and a word of its own."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from sagastream import drawing
from sagastream.drawing import Line, Mark
from sagastream.saga.progress import Kind
from sagastream.timeline import REPEATED, RETRY, Look, happening, in_order, lasting, offset, rows, timeline
from tests.unit.cli.trips import (
    BEGAN,
    CANCELLED,
    CHARGED,
    CONFIRMED,
    DECLINED,
    GIVEN_BACK,
    HELD,
    OVERDUE,
    Told,
    a_trip,
    at,
)

ASKED = (11, "UndoRequested", "saga", "hold room")
TURNED = (11, "SagaCompensationStarted", "saga")


def drawn(*told: Told, now_ms: int = 20, look: Look | None = None) -> list[str]:
    """Return the lines of a trip of which these facts were heard."""
    return texts(timeline(a_trip(*told).view(), now=at(now_ms), look=look or Look()))


def texts(lines: Iterable[Line]) -> list[str]:
    return [line.text for line in lines]


def marks(*told: Told) -> list[tuple[str, str]]:
    """Return shape and word of each row."""
    return [(row.mark.shape, row.word) for row in rows(a_trip(*told).view())]


def test_a_trip_that_goes_well_reads_from_top_to_bottom() -> None:
    """Head, steps with their offsets, services and events, and how it ended."""
    assert drawn(BEGAN, HELD, CHARGED, CONFIRMED, (13, "SagaCompleted", "saga")) == [
        "trip trip-1 for ann  2023-11-14 22:13:20 UTC",
        "   +0.000  ● began        begin        desk   TripBooked",
        "   +0.005  ● done         hold room    hotel  RoomHeld",
        "   +0.009  ● done         charge card  bank   CardCharged",
        "   +0.012  ● done         confirm      desk   TripConfirmed",
        "   +0.013  ■ ended        Completed after 0.012 s",
    ]


def test_a_trip_that_is_turned_back_says_why_and_what_was_undone() -> None:
    """The refusal with its reason, who was asked, and each undo."""
    assert drawn(
        BEGAN, HELD, DECLINED, ASKED, TURNED, GIVEN_BACK, (14, "UndoRequested", "saga", "begin"), CANCELLED,
        (19, "SagaCompensationCompleted", "saga"),
    )[1:] == [
        "   +0.000  ● began        begin        desk   TripBooked",
        "   +0.005  ● done         hold room    hotel  RoomHeld",
        "   +0.009  ✗ refused      charge card  bank   CardDeclined: the card is bad",
        "   +0.011  ◀ turned back  from here on everything is undone, newest first",
        "   +0.011  → asked        hold room    hotel  to undo it",
        "   +0.014  ↶ undone       hold room    hotel  RoomGivenBack",
        "   +0.014  → asked        begin        desk   to undo it",
        "   +0.018  ↶ undone       begin        desk   TripCancelled",
        "   +0.019  ■ ended        Compensated after 0.018 s",
    ]  # fmt: skip


def test_an_unfinished_trip_says_for_whom_it_waits_and_what_is_to_come() -> None:
    """Waits tell how long so far and at most; what is to come has the order of the table."""
    assert drawn(BEGAN, HELD, now_ms=2305)[-2:] == [
        "           … waiting      charge card  bank   2.3 s of 2 min for CardCharged or CardDeclined",
        "           ○ to come      confirm",
    ]


def test_a_trip_on_its_way_back_says_what_is_still_to_undo() -> None:
    lines = drawn(BEGAN, HELD, DECLINED, ASKED, TURNED)

    assert lines[-2].startswith("           … waiting      hold room    hotel  ")
    assert lines[-1] == "           ○ to undo      begin"


@pytest.mark.parametrize(
    ("told", "shape", "word"),
    [
        (OVERDUE, "!", "overdue"),
        ((20, "BarRequested", "saga", "confirm"), "→", "asked"),
        ((21, "StepBarred", "desk", "confirm", "barred"), "⊘", "barred"),
        ((22, "StepGaveUp", "bank", "charge card", "gave up", "it was down"), "!", "gave up"),
        ((23, "RoomHeld", "hotel", "hold room", RETRY, "failed once, tried again within 0.3 s"), "↻", "retry"),
        ((24, "TripBooked", "desk", "begin", REPEATED), "≡", "repeated"),
        ((25, "SagaNeedsAttention", "saga"), "!", "needs help"),
    ],
)
def test_every_turn_has_a_shape_and_a_word(told: Told, shape: str, word: str) -> None:
    assert (shape, word) in marks(BEGAN, told)


def test_no_two_marks_look_alike() -> None:
    """Whoever sees neither colours nor more than ASCII can still tell them apart."""
    every = [mark for mark in vars(drawing).values() if isinstance(mark, Mark)]

    assert len({mark.shape for mark in every}) == len({mark.ascii for mark in every}) == len(every)
    assert all(mark.ascii.isascii() and len(mark.shape) == 1 for mark in every)


def test_a_request_that_is_repeated_is_told_as_such() -> None:
    """The second time somebody is asked the same is a retry, and says the how manieth."""
    found = rows(a_trip(BEGAN, HELD, DECLINED, ASKED, (60_011, "UndoRequested", "saga", "hold room")).view())

    assert [(row.word, row.what) for row in found[-2:]] == [
        ("asked", "to undo it"),
        ("asked again", "to undo it, time 2"),
    ]


def test_what_nobody_needs_to_know_is_not_told() -> None:
    """The coordinator's own notice of a beginning says nothing that the beginning does not."""
    assert marks(BEGAN, (1, "SagaStarted", "saga")) == [("●", "began")]


def test_of_one_instant_causes_come_first() -> None:
    """Whatever order they were heard in: a millisecond has room for a whole chain of events."""
    told = (
        (9, "UndoRequested", "saga", "hold room", "", "", "CardDeclined charge card 9"),
        (9, "SagaCompensationStarted", "saga", "", "", "", "CardDeclined charge card 9"),
        (9, "CardDeclined", "bank", "charge card", "refused", "no", "RoomHeld hold room 9"),
        (9, "RoomHeld", "hotel", "hold room", "done", "", "TripBooked begin 0"),
    )

    assert [note.type for note in in_order(a_trip(*told).view().history)] == [
        "RoomHeld", "CardDeclined", "SagaCompensationStarted", "UndoRequested",
    ]  # fmt: skip


def test_a_trip_nobody_here_has_a_table_of_is_told_by_its_events() -> None:
    """Without a table there are no steps to wait for, but what happened is known."""
    lines = texts(timeline(a_trip(BEGAN, HELD, saga=None).view(), now=at(20)))

    assert lines[1:3] == [
        "   +0.000  ● began        begin      desk   TripBooked",
        "   +0.005  ● done         hold room  hotel  RoomHeld",
    ]


def test_a_narrow_terminal_gets_explanations_below_each_other() -> None:
    """Nothing is cut off, and the columns stay."""
    told = (9, "CardDeclined", "bank", "charge card", "refused", "the card was lost at sea by its owner")

    assert drawn(BEGAN, told, look=Look(width=80))[2:4] == [
        "   +0.009  ✗ refused      charge card  bank   CardDeclined: the card was lost at",
        "                                              sea by its owner",
    ]


def test_a_terminal_without_unicode_gets_ascii() -> None:
    assert all(line.isascii() for line in drawn(BEGAN, HELD, DECLINED, TURNED, ASKED, look=Look(ascii_only=True)))


def test_waits_are_passing_and_what_happened_is_not() -> None:
    """Whoever only appends must never print what will not be true any more; keys tell lines apart."""
    lines = timeline(a_trip(BEGAN, HELD).view(), now=at(20))

    assert [line.is_passing for line in lines] == [False, False, False, True, True]
    assert len({line.key for line in lines}) == len(lines)


def test_a_row_can_stand_by_itself() -> None:
    """Among the rows of other sagas each names the time of day and its saga."""
    view = a_trip(BEGAN, HELD).view()

    assert happening(view, rows(view)[1]).text == ("22:13:20.005  trip-1  ● done         hold room    hotel  RoomHeld")


@pytest.mark.parametrize(
    ("ms", "told"),
    [
        (0, "0.000 s"),
        (9_999, "9.999 s"),
        (10_000, "10.0 s"),
        (100_000, "1 min"),
        (7_200_000, "2 h"),
        (172_800_000, "2 d"),
    ],
)
def test_durations_are_told_as_people_do(ms: int, told: str) -> None:
    assert lasting(ms) == told


@pytest.mark.parametrize(
    ("ms", "told"), [(0, "+0.000"), (-3, "-0.003"), (999_999, "+999.999"), (3_723_000, "+1:02:03")]
)
def test_offsets_stay_short(ms: int, told: str) -> None:
    assert offset(at(ms) - at(0)) == told


def test_what_an_operator_did_stands_under_his_name_and_what_is_open_below() -> None:
    """Nobody has to know the routes to see why a saga stands still."""
    lines = drawn(
        BEGAN, HELD, CHARGED, (12, "StepBarred", "desk", "confirm", Kind.BARRED),
        (15, "StepGaveUp", "bank", "charge card", Kind.UNDO_GAVE_UP, "closed"),
        (16, "RetryAsked", "operator", "", "", "they are back", "", "ann"),
    )  # fmt: skip

    assert any("☞ operator" in line and "ann: RetryAsked: they are back" in line for line in lines)
    (open_,) = [line for line in lines if "! open " in line]
    assert "undoing it keeps failing: closed; what would close it: CardRefunded or StepBarred from bank" in open_
