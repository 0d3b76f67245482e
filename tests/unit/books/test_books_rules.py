"""What must agree in the books, rule by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from books.facts import Account, Books, Level, Order, Payment, Reservation, Saga, Told
from books.report import report
from books.rules import check

PIECES = {"store-1:cup": 2}
DONE = Order("done", "saga-done", "Confirmed", 1700, 1, PIECES)
UNDONE = Order("undone", "saga-undone", "Cancelled", 900, 1, {"store-1:cup": 1})
SOUND = Books(
    sagas={"saga-done": Saga("saga-done", "Completed"), "saga-undone": Saga("saga-undone", "Compensated")},
    orders={"done": DONE, "undone": UNDONE},
    levels={"store-1:cup": Level("store-1:cup", available=9, reserved=2, initial=10, restocked=1)},
    reservations={
        "done": Reservation("done", "saga-done", is_held=True, pieces=PIECES),
        "undone": Reservation("undone", "saga-undone", is_held=False, pieces={"store-1:cup": 1}),
    },
    payments={
        "done": Payment("done", "saga-done.charge", "Charged", 1700),
        "undone": Payment("undone", "saga-undone.charge", "Refunded", 900),
    },
    accounts={
        "saga-done.charge": Account(1700, 0, 1),
        "saga-undone.charge": Account(900, 900, 1),
    },
    told={"done": Told(1, 0), "undone": Told(0, 1)},
    now_ms=10_000_000,
)


def _broken(books: Books) -> list[tuple[str, str]]:
    return [(each.rule, found.about) for each in check(books) for found in each.differences]


def _with(**changes: dict[str, object]) -> Books:
    """Return the sound books with entries changed; None takes one out."""
    fields = {}
    for name, entries in changes.items():
        merged = {**getattr(SOUND, name), **entries}
        fields[name] = {key: value for key, value in merged.items() if value is not None}
    return replace(SOUND, **fields)  # type: ignore[arg-type]  # field names are given as words here


def test_sound_books_agree_and_everything_was_compared() -> None:
    """No rule passes because it looked at nothing."""
    assert _broken(SOUND) == []
    assert all(each.compared for each in check(SOUND))


@pytest.mark.parametrize(
    ("books", "rule", "about"),
    [
        (
            _with(levels={"store-1:cup": Level("store-1:cup", 8, 2, 10, 1)}),
            "available + reserved = initial + restocked",
            "level store-1:cup",
        ),
        (
            _with(levels={"store-1:cup": Level("store-1:cup", -1, 2, 1, 0)}),
            "available + reserved = initial + restocked",
            "level store-1:cup",
        ),
        (
            _with(levels={"store-1:cup": Level("store-1:cup", 8, 3, 10, 1)}),
            "reserved = held for orders",
            "level store-1:cup",
        ),
        (
            _with(levels={"store-1:jug": Level("store-1:jug", 9, 1, 10, 0)}),
            "reserved = held for orders",
            "level store-1:jug",
        ),
        (
            _with(reservations={"done": Reservation("done", "saga-done", True, {"store-1:jug": 1})}),
            "reserved = held for orders",
            "level store-1:jug",
        ),
        (
            _with(sagas={"saga-lost": Saga("saga-lost", "Completed")}),
            "every saga carries an order",
            "saga saga-lost",
        ),
        (
            _with(orders={"done": replace(DONE, status="Pending")}),
            "Confirmed if done, Cancelled if undone",
            "order done",
        ),
        (
            _with(orders={"undone": replace(UNDONE, status="Confirmed")}),
            "Confirmed if done, Cancelled if undone",
            "order undone",
        ),
        (_with(reservations={"done": None}), "stock is held for exactly the done", "order done"),
        (
            _with(reservations={"undone": Reservation("undone", "saga-undone", True, {"store-1:cup": 1})}),
            "stock is held for exactly the done",
            "order undone",
        ),
        (
            _with(reservations={"done": Reservation("done", "saga-done", True, {"store-1:cup": 1})}),
            "stock is held for exactly the done",
            "order done",
        ),
        (
            _with(reservations={"x": Reservation("x", "saga-x", False, {})}),
            "stock is held for exactly the done",
            "order x",
        ),
        (_with(accounts={"saga-done.charge": None}), "the provider keeps exactly what is owed", "order done"),
        (
            _with(accounts={"saga-done.charge": Account(3400, 1700, 2)}),
            "the provider keeps exactly what is owed",
            "order done",
        ),
        (
            _with(accounts={"saga-undone.charge": Account(900, 0, 1)}),
            "the provider keeps exactly what is owed",
            "order undone",
        ),
        (
            _with(accounts={"saga-x.charge": Account(5, 0, 1)}),
            "the provider keeps exactly what is owed",
            "saga saga-x",
        ),
        (
            _with(payments={"undone": Payment("undone", "saga-undone.charge", "Closed", 900)}),
            "payments = the provider's record",
            "order undone",
        ),
        (_with(told={"done": None}), "every customer is told once", "order done"),
        (_with(told={"done": Told(2, 0)}), "every customer is told once", "order done"),
        (_with(told={"done": Told(1, 1)}), "every customer is told once", "order done"),
        (_with(told={"undone": Told(1, 1)}), "every customer is told once", "order undone"),
        (_with(told={"undone": Told(0, 2)}), "every customer is told once", "order undone"),
        (_with(told={"undone": None}), "every customer is told once", "order undone"),
    ],
)
def test_each_lie_is_found_by_its_rule(books: Books, rule: str, about: str) -> None:
    """One falsified entry breaks the rule that guards it, and the report names it."""
    assert (rule, about) in _broken(books)
    assert about in report(books, check(books))


@pytest.mark.parametrize(
    "books",
    [
        _with(levels={"store-1:jug": Level("store-1:jug", available=0, reserved=0, initial=0, restocked=0)}),
        _with(orders={"done": replace(DONE, currency="EUR")}),
        _with(accounts={"saga-undone.charge": Account(900, 900, 1, "USD")}),
        _with(payments={"lost": Payment("lost", "saga-lost.charge", "Refunded", 900)}),
    ],
    ids=["sold out", "a currency the provider did not note", "given back in another currency", "of no order"],
)
def test_what_is_unusual_and_right_is_no_difference(books: Books) -> None:
    """Whoever is called for nothing does not look the next time."""
    assert _broken(books) == []


def test_a_saga_under_way_is_held_to_what_always_holds() -> None:
    """It may have effects or not, but never two charges, a part of its total or two mails; what is held is left."""
    under_way = _with(
        sagas={"saga-done": Saga("saga-done", "InProgress")},
        orders={"done": replace(DONE, status="Pending")},
        reservations={"done": None},
        told={"done": None},
    )
    twice = replace(under_way, accounts={**SOUND.accounts, "saga-done.charge": Account(3400, 0, 2)})

    assert (_broken(under_way), under_way.under_way) == ([], 1)
    partly = replace(under_way, accounts={**SOUND.accounts, "saga-done.charge": Account(1700, 700, 1)})
    mailed = replace(under_way, told={**SOUND.told, "done": Told(2, 0)})
    assert _broken(twice) == _broken(partly) == [("the provider keeps exactly what is owed", "order done")]
    assert _broken(mailed) == [("every customer is told once", "order done")]


def test_an_order_whose_saga_is_not_recorded_yet_is_under_way() -> None:
    """The coordinator may be down; nothing is wrong with the books, they are only not closed."""
    books = _with(sagas={"saga-done": None}, orders={"done": replace(DONE, status="Pending")})

    assert (_broken(books), books.under_way) == ([], 1)


def test_an_order_whose_saga_ended_so_long_ago_that_it_is_not_kept_is_not_under_way() -> None:
    """Otherwise what is reserved would never be compared again with what is held."""
    old = replace(_with(sagas={"saga-done": None}), kept_since_ms=2)
    wrong = replace(old, levels={"store-1:cup": Level("store-1:cup", 8, 3, 10, 1)})

    assert (_broken(old), old.under_way) == ([], 0)
    assert _broken(wrong) == [("reserved = held for orders", "level store-1:cup")]


def test_what_a_person_closed_is_that_persons_decision() -> None:
    """What an aborted saga left open was written down when it was closed."""
    books = _with(
        sagas={"saga-undone": Saga("saga-undone", "Aborted")},
        accounts={"saga-undone.charge": Account(900, 0, 1)},
    )

    assert [rule for rule, _ in _broken(books)] == []


def test_a_fresh_cancellation_may_still_be_told() -> None:
    """The notice follows the end of the saga; only one that stays away is missing."""
    fresh = replace(_with(told={"undone": None}, orders={"undone": replace(UNDONE, settled_ms=9_990_000)}))

    assert _broken(fresh) == []
