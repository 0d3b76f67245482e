"""What a payment is and how it may change. Pure: takes values, returns values, reaches nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from events import PaymentFailed, PaymentProcessed, PaymentRefunded, StockReserved
from payment_service.gateway import Charged, Refund, Refused
from sagastream.masking import masked

LONGEST_REASON = 500


class Status(StrEnum):
    """Where a payment stands; ``CLOSED`` was forbidden before any money was taken."""

    CHARGED = "Charged"
    REFUSED = "Refused"
    CLOSED = "Closed"
    REFUNDED = "Refunded"


class RefundDiffers(Exception):
    """What the provider gave back is not what was taken: a person must look at both books."""


@dataclass(frozen=True, slots=True)
class Payment:
    """An order's payment. The provider knows it by ``key`` and calls it ``reference``."""

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
    """Return the payment of an order whose money was taken."""
    paid = _payment(reserved, key, Status.CHARGED, at_ms)
    return replace(paid, amount_cents=answer.amount_cents, currency=answer.currency, reference=answer.reference)


def refused(reserved: StockReserved, key: str, answer: Refused, at_ms: int) -> Payment:
    """Return the payment of an order whose money was refused."""
    # A provider may quote the card and its owner, and whoever asks is shown the reason.
    return replace(_payment(reserved, key, Status.REFUSED, at_ms), reason=masked(answer.reason[:LONGEST_REASON]))


def given_back_before(reserved: StockReserved, key: str, answer: Charged, at_ms: int) -> Payment:
    """Return the payment of an order whose money was taken and refunded, which this shop has forgotten."""
    paid = charged(reserved, key, answer, at_ms)
    return replace(paid, status=Status.REFUNDED, refunded_ms=at_ms, reason="the money was given back before")


def closed(reserved: StockReserved, key: str, at_ms: int) -> Payment:
    """Return the payment of an order that can no longer be charged."""
    return _payment(reserved, key, Status.CLOSED, at_ms)


def refunded(payment: Payment, refund: Refund, at_ms: int) -> Payment:
    """Return the payment as given back.

    Raises: ``RefundDiffers`` unless everything was.
    """
    if refund.amount_cents != payment.amount_cents:
        raise RefundDiffers(
            f"order {payment.order_id}: {payment.amount_cents} {payment.currency} were taken, but"
            f" {refund.amount_cents} given back; compare the provider's record, then ask for the undo again"
        )
    return replace(payment, status=Status.REFUNDED, refunded_ms=at_ms)


def processed(payment: Payment) -> PaymentProcessed:
    """Say that the money was taken."""
    return PaymentProcessed(
        order_id=payment.order_id,
        payment_id=payment.reference,
        amount_cents=payment.amount_cents,
        currency=payment.currency,
    )


def failed(payment: Payment) -> PaymentFailed:
    """Say that the money was refused."""
    return PaymentFailed(order_id=payment.order_id, reason=payment.reason)


def given_back(payment: Payment) -> PaymentRefunded:
    """Say that what was taken was given back."""
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
