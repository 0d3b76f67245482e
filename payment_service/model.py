"""What a payment is and how it may change. Pure: takes values, returns values, performs no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from events import PaymentFailed, PaymentProcessed, PaymentRefunded, StockReserved
from payment_service.gateway import Charged, Refund, Refused
from sagastream.masking import masked

LONGEST_REASON = 500


class Status(StrEnum):
    """The status of a payment; ``CLOSED`` means its key was closed before any money was taken."""

    CHARGED = "Charged"
    REFUSED = "Refused"
    CLOSED = "Closed"
    REFUNDED = "Refunded"


class RefundDiffers(Exception):
    """The amount refunded differs from the amount taken: a person must compare both records."""


@dataclass(frozen=True, slots=True)
class Payment:
    """An order's payment. ``key`` is the idempotency key at the provider, ``reference`` the provider's id for it."""

    order_id: str
    status: Status
    amount_cents: int
    currency: str
    method: str
    key: str
    decided_ms: int
    reference: str = ""
    reason: str = ""
    refunded_ms: int | None = None


def charged(reserved: StockReserved, key: str, answer: Charged, at_ms: int) -> Payment:
    """Return the payment of an order that was charged."""
    paid = _payment(reserved, key, Status.CHARGED, at_ms)
    return replace(paid, amount_cents=answer.amount_cents, currency=answer.currency, reference=answer.reference)


def refused(reserved: StockReserved, key: str, answer: Refused, at_ms: int) -> Payment:
    """Return the payment of an order whose charge was refused."""
    # A provider's reason may contain the card number and its owner's name, and clients see the reason.
    return replace(_payment(reserved, key, Status.REFUSED, at_ms), reason=masked(answer.reason[:LONGEST_REASON]))


def given_back_before(reserved: StockReserved, key: str, answer: Charged, at_ms: int) -> Payment:
    """Return the payment of an order whose charge was taken and refunded, as only the provider still remembers."""
    paid = charged(reserved, key, answer, at_ms)
    return replace(paid, status=Status.REFUNDED, refunded_ms=at_ms, reason="the money was given back before")


def closed(reserved: StockReserved, key: str, at_ms: int) -> Payment:
    """Return the payment of an order that can no longer be charged."""
    return _payment(reserved, key, Status.CLOSED, at_ms)


def refunded(payment: Payment, refund: Refund, at_ms: int) -> Payment:
    """Return the payment as refunded.

    Raises: ``RefundDiffers`` unless the whole amount was refunded.
    """
    if refund.amount_cents != payment.amount_cents:
        raise RefundDiffers(
            f"order {payment.order_id}: {payment.amount_cents} {payment.currency} were taken, but"
            f" {refund.amount_cents} given back; compare the provider's record, then ask for the undo again"
        )
    return replace(payment, status=Status.REFUNDED, refunded_ms=at_ms)


def processed(payment: Payment) -> PaymentProcessed:
    """Return the event that the money was taken."""
    return PaymentProcessed(
        order_id=payment.order_id,
        payment_id=payment.reference,
        amount_cents=payment.amount_cents,
        currency=payment.currency,
    )


def failed(payment: Payment) -> PaymentFailed:
    """Return the event that the money was refused."""
    return PaymentFailed(order_id=payment.order_id, reason=payment.reason)


def given_back(payment: Payment) -> PaymentRefunded:
    """Return the event that the money was refunded."""
    return PaymentRefunded(
        order_id=payment.order_id,
        payment_id=payment.reference,
        amount_cents=payment.amount_cents,
        currency=payment.currency,
    )


def _payment(reserved: StockReserved, key: str, status: Status, at_ms: int) -> Payment:
    return Payment(
        order_id=reserved.order_id,
        status=status,
        amount_cents=reserved.total_cents,
        currency=reserved.currency,
        method=reserved.payment_method,
        key=key,
        decided_ms=at_ms,
    )
