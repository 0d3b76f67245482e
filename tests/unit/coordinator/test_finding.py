"""Which sagas fit a search that records must be looked into for."""

from __future__ import annotations

import pytest

from coordinator.order_saga import ORDER
from sagastream.coordinator.finding import Search
from sagastream.coordinator.listing import Stored
from sagastream.coordinator.records import Record
from sagastream.saga.advance import advance
from sagastream.saga.definition import BEGINNING
from sagastream.saga.progress import Fact, Happening, Kind, Progress

STOCK, PAYMENT, *_ = (step.name for step in ORDER.steps)
REFUSED = [
    Happening(BEGINNING, Kind.DONE, Fact(1000, "e1")),
    Happening(STOCK, Kind.DONE, Fact(2000, "e2")),
    Happening(PAYMENT, Kind.REFUSED, Fact(3000, "e3", "the card is stolen")),
]


def stored() -> Stored:
    """Return a saga whose payment was refused, so that its stock was asked to be given back."""
    turn = advance(ORDER, Progress("saga-1", "order", 1, "customer-1"), REFUSED, now_ms=3000)
    return Stored(Record(turn.progress, turn.status, 1), None)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search(), True),
        (Search(id="saga-"), True),
        (Search(id="customer"), True),
        (Search(id="aga"), False),
        (Search(step=STOCK), True),
        (Search(step=PAYMENT), False),
        (Search(is_stuck=False), True),
        (Search(is_stuck=True), False),
        (Search(why="STOLEN"), True),
        (Search(why="lost"), False),
        (Search(step=STOCK, is_stuck=False, why="stolen", id="saga"), True),
        (Search(step=STOCK, is_stuck=False, why="stolen", id="x"), False),
    ],
    ids=str,
)
def test_a_saga_fits_if_all_that_is_asked_is_so(search: Search, expected: bool) -> None:
    assert search.fits(stored(), ORDER, now_ms=3001) is expected


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search(id="saga-"), True),
        (Search(is_stuck=True), True),
        (Search(is_stuck=False), False),
        (Search(step=STOCK), False),
        (Search(why="stolen"), False),
    ],
    ids=str,
)
def test_a_saga_of_a_table_nobody_here_knows_waits_and_is_stuck(search: Search, expected: bool) -> None:
    """More cannot be said of it."""
    assert search.fits(stored(), None, now_ms=3001) is expected
