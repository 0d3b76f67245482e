"""The provider's requests and answers on the wire. Owns their shape, for both ends; performs no I/O."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from payment_service.gateway import Charged, Closed, Refund, Refused
from payment_service.provider_books import Account, Call
from payment_service.provider_record import Page

_KEY = "388292668e9a475180f2f4ab76ae0a0a"
_TAKEN: JsonDict = {
    "reference": "pay_3f9d2c1b7a60e5d4c8b1a290",
    "amountCents": 29999,
    "currency": "EUR",
    "isGivenBack": False,
}
_BALANCE: JsonDict = {
    "key": _KEY,
    "takenCents": 29999,
    "refundedCents": 0,
    "keptCents": 29999,
    "currency": "EUR",
    "closed": False,
    "reason": "",
}
_CALL: JsonDict = {
    "atMs": 1769860800575,
    "call": "charge",
    "key": _KEY,
    "outcome": "charged",
    "amountCents": 29999,
    "currency": "EUR",
    "method": "CreditCard",
    "reference": "pay_3f9d2c1b7a60e5d4c8b1a290",
}


class Message(BaseModel):
    """The base of all messages: frozen, camelCase, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class KeyRequest(Message):
    """A request to refund or close one key."""

    # A request about money is never guessed from a value of another type.
    model_config = ConfigDict(strict=True, json_schema_extra={"examples": [{"key": _KEY}]})

    key: str = Field(min_length=1, max_length=200)


class ChargeRequest(KeyRequest):
    """A request to charge under one key."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"key": _KEY, "amountCents": 29999, "currency": "EUR", "method": "CreditCard"}]}
    )

    amount_cents: int = Field(ge=0, le=10**15)
    currency: str = Field(min_length=3, max_length=3)
    method: str = Field(min_length=1, max_length=64)


class Taken(Message):
    """A charge that was taken, perhaps refunded since."""

    reference: str
    amount_cents: int
    currency: str
    is_given_back: bool = False

    @classmethod
    def of(cls, charged: Charged) -> Taken:
        """Return the wire form."""
        return cls(
            reference=charged.reference,
            amount_cents=charged.amount_cents,
            currency=charged.currency,
            is_given_back=charged.is_given_back,
        )

    def answer(self) -> Charged:
        """Return the gateway's form."""
        return Charged(self.reference, self.amount_cents, self.currency, self.is_given_back)


class ChargeAnswer(Message):
    """The decision on a charge: either ``taken`` or ``refused`` (the reason, for human readers)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"taken": _TAKEN}, {"refused": "the card was declined"}]})

    taken: Taken | None = None
    refused: str | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.taken is None) == (self.refused is None):
            raise ValueError("a charge is either taken or refused")
        return self

    @classmethod
    def of(cls, answer: Charged | Refused) -> ChargeAnswer:
        """Return the wire form."""
        if isinstance(answer, Charged):
            return cls(taken=Taken.of(answer))
        return cls(refused=answer.reason)

    def answer(self) -> Charged | Refused:
        """Return the gateway's form."""
        return self.taken.answer() if self.taken else Refused(self.refused or "")


class RefundAnswer(Message):
    """The amount refunded under a key, now or earlier."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"refundedCents": 29999}]})

    refunded_cents: int

    @classmethod
    def of(cls, refund: Refund) -> RefundAnswer:
        """Return the wire form."""
        return cls(refunded_cents=refund.amount_cents)

    def answer(self) -> Refund:
        """Return the gateway's form."""
        return Refund(self.refunded_cents)


class CloseAnswer(Message):
    """The key is closed; ``taken`` is the charge taken under it before.

    ``taken`` must be present, if only as null: an empty object must never pass for "nothing was taken".
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"taken": _TAKEN}, {"taken": None}]})

    taken: Taken | None

    @classmethod
    def of(cls, closed: Closed) -> CloseAnswer:
        """Return the wire form."""
        return cls(taken=Taken.of(closed.taken) if closed.taken else None)

    def answer(self) -> Closed:
        """Return the gateway's form."""
        return Closed(self.taken.answer() if self.taken else None)


class Balance(Message):
    """The balance of one key."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BALANCE]})

    key: str
    taken_cents: int
    refunded_cents: int
    kept_cents: int
    currency: str
    closed: bool
    reason: str

    @classmethod
    def of(cls, key: str, account: Account) -> Balance:
        """Return the wire form."""
        return cls(
            key=key,
            taken_cents=account.taken_cents,
            refunded_cents=account.refunded_cents,
            kept_cents=account.kept_cents,
            currency=account.charged.currency if account.charged else "",
            closed=account.is_closed,
            reason=account.refusal,
        )


class Records(Message):
    """Some recorded calls, and the position of the next ones (null at the end for now)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"records": [_CALL], "next": 4711}]})

    records: tuple[Call, ...]
    next: int | None

    @classmethod
    def of(cls, page: Page) -> Records:
        """Return the wire form."""
        return cls(records=page.calls, next=page.next)
