"""One followed saga: what was heard and what was read amount to the same, whatever came first."""

from __future__ import annotations

import itertools

import pytest

from sagastream.coordinator.listing import Stored
from sagastream.coordinator.records import Note, Record
from sagastream.saga.lifecycle import Status
from tests.unit.cli.trips import (
    BEGAN,
    CANCELLED,
    CHARGED,
    CONFIRMED,
    DECLINED,
    GIVEN_BACK,
    HELD,
    T0,
    Told,
    a_trip,
    at,
    hear,
)

BACK: tuple[Told, ...] = (BEGAN, HELD, DECLINED, GIVEN_BACK, CANCELLED)


def test_the_status_follows_from_what_was_heard() -> None:
    """Each event moves the view at once, before the coordinator has written anything."""
    followed = a_trip()

    statuses = []
    for told in BACK:
        hear(followed, *told)
        statuses.append(followed.view().status)

    assert statuses == ["Started", "InProgress", "Compensating", "Compensating", "Compensated"]


@pytest.mark.parametrize("order", list(itertools.permutations(BACK)))
def test_events_may_be_heard_in_any_order(order: tuple[Told, ...]) -> None:
    view = a_trip(*order).view()

    assert (view.status, view.duration_ms) == (Status.COMPENSATED, 18)


def test_a_record_that_knows_more_and_one_that_knows_less_give_the_same_view() -> None:
    """A record may be read before or after the write that an event leads to."""
    whole = a_trip(BEGAN, HELD, CHARGED, CONFIRMED)
    behind = a_trip(BEGAN, HELD)
    for told in (CHARGED, CONFIRMED):
        hear(behind, *told)
    behind.read(behind.stored, [])

    assert behind.view() == whole.view()


def test_what_was_told_is_no_news_again() -> None:
    """Each note is news once, although a record repeats all of them whenever it is read."""
    followed = a_trip(BEGAN)
    written = list(followed.notes.values())
    first = followed.change().new

    followed.read(followed.stored, written)
    hear(followed, *HELD)

    assert first == {"TripBooked begin 0"}
    assert followed.change().new == {"RoomHeld hold room 5"}


def test_what_was_before_is_no_news() -> None:
    """Who begins to follow in the middle is told what comes from now on."""
    followed = a_trip(BEGAN, HELD, CHARGED)

    followed.knew_until(T0 + 9)

    assert followed.change().new == {"CardCharged charge card 9"}


def test_only_the_record_knows_of_an_overdue_step() -> None:
    """A deadline is published nowhere; it is read with the record."""
    followed = a_trip(BEGAN, HELD)
    note = Note(T0 + 30_000, "overdue-1", "StepOverdue", "saga", "", "charge card", "overdue", "nothing heard")

    followed.read(followed.stored, [note.written()])

    assert followed.change().view.history[-1].reason == "nothing heard"


def test_a_saga_without_a_table_stands_as_its_record_says() -> None:
    followed = a_trip(BEGAN, CHARGED, saga=None)
    progress = followed.stored.record.progress

    followed.read(Stored(Record(progress, Status.COMPLETED, 4), T0 + 12), [])

    view = followed.view()
    assert (view.status, view.steps, len(view.history)) == (Status.COMPLETED, [], 2)


def test_an_end_that_is_not_written_yet_is_dated_by_its_last_event() -> None:
    view = a_trip(BEGAN, HELD, CHARGED, CONFIRMED).view()

    assert (view.completed_at, view.duration_ms) == (at(12), 12)
