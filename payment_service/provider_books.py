"""The account of each key, as a fold of the provider's recorded calls. Pure: decides, writes nothing.

| in the record of   | field                                    | meaning                                |
|--------------------|------------------------------------------|----------------------------------------|
| every call         | ``atMs``, ``call``, ``key``, ``outcome`` | instant, kind of request, its result   |
| a charge           | ``amountCents``, ``currency``, ``method`` | the amount and method requested        |
| a charge taken     | ``reference``                            | the provider's id for it               |
| a charge refused   | ``reason``                               | the reason, for human readers          |
| a refund           | ``amountCents``, ``currency``            | the amount refunded by this very call  |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from payment_service.gateway import Charged


class Asked(StrEnum):
    """The kind of a call."""

    CHARGE = "charge"
    REFUND = "refund"
    CLOSE = "close"


class Outcome(StrEnum):
    """The result of a call; ``NOTHING``: there was nothing to refund, ``BROKEN``: the answer was an error."""

    CHARGED = "charged"
    REFUSED = "refused"
    REFUNDED = "refunded"
    NOTHING = "nothing"
    CLOSED = "closed"
    REPEATED = "repeated"
    BROKEN = "broken"


class Call(BaseModel):
    """One line of the provider's record."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    at_ms: int
    call: Asked
    key: str
    outcome: Outcome
    amount_cents: int = 0
    currency: str = ""
    method: str = ""
    reference: str = ""
    reason: str = ""


class Terms(NamedTuple):
    """The terms of a charge, which distinguish a repeated key from a reused one."""

    amount_cents: int
    currency: str
    method: str


@dataclass(frozen=True, slots=True)
class Account:
    """The account of one key. At most one charge is ever taken, and a refund returns all of it."""

    charged: Charged | None = None
    refusal: str = ""
    refunded_cents: int = 0
    is_closed: bool = False
    failures: int = 0
    terms: Terms | None = None

    @property
    def is_answered(self) -> bool:
        """Tell whether a charge under this key already has its final answer."""
        return self.charged is not None or bool(self.refusal)

    @property
    def standing(self) -> Charged | None:
        """Return the charge that was taken, and whether it is refunded by now."""
        return replace(self.charged, is_given_back=True) if self.charged and self.refunded_cents else self.charged

    @property
    def taken_cents(self) -> int:
        """Return the amount ever taken under the key."""
        return self.charged.amount_cents if self.charged else 0

    @property
    def kept_cents(self) -> int:
        """Return the amount that the provider still holds."""
        return self.taken_cents - self.refunded_cents


EMPTY = Account()


def charge(account: Account, key: str, terms: Terms, at_ms: int, *, refusal: str, failures: int) -> Call:
    """Decide a charge; ``refusal`` is why its method is refused, ``failures`` how many attempts fail first."""
    reference = reason = ""
    if account.is_answered:
        outcome = Outcome.REPEATED
    elif account.is_closed:
        outcome, reason = Outcome.REFUSED, "closed"
    elif account.failures < failures:
        outcome = Outcome.BROKEN
    elif refusal:
        outcome, reason = Outcome.REFUSED, refusal
    else:
        outcome, reference = Outcome.CHARGED, _reference(key)
    return Call(
        at_ms=at_ms,
        call=Asked.CHARGE,
        key=key,
        outcome=outcome,
        amount_cents=terms.amount_cents,
        currency=terms.currency,
        method=terms.method,
        reference=reference,
        reason=reason,
    )


def refund(account: Account, key: str, at_ms: int) -> Call:
    """Decide a refund: everything that is still held, once."""
    if account.charged is None:
        return Call(at_ms=at_ms, call=Asked.REFUND, key=key, outcome=Outcome.NOTHING)
    if not account.kept_cents:
        return Call(at_ms=at_ms, call=Asked.REFUND, key=key, outcome=Outcome.REPEATED)
    return Call(
        at_ms=at_ms,
        call=Asked.REFUND,
        key=key,
        outcome=Outcome.REFUNDED,
        amount_cents=account.kept_cents,
        currency=account.charged.currency,
    )


def close(account: Account, key: str, at_ms: int) -> Call:
    """Decide a close: always granted."""
    outcome = Outcome.REPEATED if account.is_closed else Outcome.CLOSED
    return Call(at_ms=at_ms, call=Asked.CLOSE, key=key, outcome=outcome)


def after(account: Account, call: Call) -> Account:
    """Return the account of a key after one more recorded call."""
    match call.outcome:
        case Outcome.CHARGED:
            taken = Charged(call.reference, call.amount_cents, call.currency)
            return replace(account, charged=taken, terms=_terms(call))
        case Outcome.REFUSED:
            return replace(account, refusal=call.reason, terms=_terms(call))
        case Outcome.BROKEN:
            return replace(account, failures=account.failures + 1, terms=_terms(call))
        case Outcome.REFUNDED:
            return replace(account, refunded_cents=account.refunded_cents + call.amount_cents)
        case Outcome.CLOSED:
            return replace(account, is_closed=True)
        case Outcome.NOTHING | Outcome.REPEATED:
            return account


def accounts(calls: Iterable[Call]) -> dict[str, Account]:
    """Return the account of every key after these calls, given in the order they were recorded."""
    books: dict[str, Account] = {}
    for call in calls:
        books[call.key] = after(books.get(call.key, EMPTY), call)
    return books


def _terms(call: Call) -> Terms:
    return Terms(call.amount_cents, call.currency, call.method)


def _reference(key: str) -> str:
    return "pay_" + blake2b(key.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
