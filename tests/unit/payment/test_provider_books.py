"""What a provider decides about a key, as arithmetic on its recorded calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service import provider_books as books
from payment_service.provider_books import EMPTY, Account, Outcome, Terms

ASKED = Terms(amount_cents=500, currency="EUR", method="CreditCard")


def charged(account: Account, *, refusal: str = "", failures: int = 0) -> tuple[Account, Outcome]:
    """Charge once and return what stands then."""
    call = books.charge(account, "key", ASKED, 1, refusal=refusal, failures=failures)
    return books.after(account, call), call.outcome


def refunded(account: Account) -> tuple[Account, Outcome]:
    """Refund once and return what stands then."""
    call = books.refund(account, "key", 1)
    return books.after(account, call), call.outcome


def closed(account: Account) -> tuple[Account, Outcome]:
    """Close once and return what stands then."""
    call = books.close(account, "key", 1)
    return books.after(account, call), call.outcome


def test_a_second_charge_takes_nothing_more() -> None:
    """A repeated key gets its stored answer."""
    account, first = charged(EMPTY)

    again, second = charged(account)

    assert (first, second) == (Outcome.CHARGED, Outcome.REPEATED)
    assert again == account
    assert account.kept_cents == 500


def test_a_refused_key_stays_refused() -> None:
    """A refusal is an answer for good, whatever is asked later."""
    account, first = charged(EMPTY, refusal="declined")

    again, second = charged(account)

    assert (first, second) == (Outcome.REFUSED, Outcome.REPEATED)
    assert (again.refusal, again.taken_cents) == ("declined", 0)


def test_a_closed_key_refuses_charges_for_good() -> None:
    """Close before charge: no money is ever taken."""
    account, _ = closed(EMPTY)

    after, outcome = charged(account)

    assert outcome is Outcome.REFUSED
    assert (after.refusal, after.taken_cents) == ("closed", 0)


def test_closing_forgets_no_charge() -> None:
    """Close after charge: the money is still known, and a repeated charge is still answered with it."""
    account, _ = charged(EMPTY)

    after, _ = closed(account)

    assert after.charged == account.charged
    assert charged(after)[1] is Outcome.REPEATED


def test_a_method_breaks_as_often_as_it_says_then_works() -> None:
    """Failures are counted per key, in the record."""
    account = EMPTY
    outcomes = []
    for _ in range(4):
        account, outcome = charged(account, failures=2)
        outcomes.append(outcome)

    assert outcomes == [Outcome.BROKEN, Outcome.BROKEN, Outcome.CHARGED, Outcome.REPEATED]


def test_a_refund_gives_back_everything_once() -> None:
    """The second refund moves nothing."""
    account, _ = charged(EMPTY)

    once, first = refunded(account)
    twice, second = refunded(once)

    assert (first, second) == (Outcome.REFUNDED, Outcome.REPEATED)
    assert once == twice
    assert (once.refunded_cents, once.kept_cents) == (500, 0)


def test_refunding_an_unknown_key_moves_nothing() -> None:
    """There is nothing to give back, and that is no error."""
    assert refunded(EMPTY) == (EMPTY, Outcome.NOTHING)


@given(st.lists(st.sampled_from(["charge", "refused charge", "breaking charge", "refund", "close"]), max_size=30))
def test_any_order_of_calls_keeps_the_books_honest(steps: list[str]) -> None:
    """At most one charge, never more given back than taken, and a replay gives the same accounts."""
    acts = {
        "charge": lambda account: books.charge(account, "key", ASKED, 1, refusal="", failures=0),
        "refused charge": lambda account: books.charge(account, "key", ASKED, 1, refusal="no", failures=0),
        "breaking charge": lambda account: books.charge(account, "key", ASKED, 1, refusal="", failures=2),
        "refund": lambda account: books.refund(account, "key", 1),
        "close": lambda account: books.close(account, "key", 1),
    }
    account, calls = EMPTY, []
    for step in steps:
        was_closed = account.is_closed and account.charged is None
        call = acts[step](account)
        account = books.after(account, call)
        calls.append(call)
        assert account.kept_cents in (0, 500)
        assert not (was_closed and account.taken_cents), "a closed key took money"

    assert sum(call.outcome is Outcome.CHARGED for call in calls) <= 1
    assert books.accounts(calls).get("key", EMPTY) == account


@pytest.mark.parametrize("field", ["amount_cents", "currency", "method"])
def test_terms_tell_a_repeated_charge_from_another_one(field: str) -> None:
    """Whatever of a charge differs makes other terms, also for who reads them in the record."""
    account, _ = charged(EMPTY)

    assert account.terms == ASKED != ASKED._replace(**{field: 1 if field == "amount_cents" else "other"})
