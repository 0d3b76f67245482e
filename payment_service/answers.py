"""The answers that show payments to clients. Pure: a model in, an answer out."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.config import JsonDict

from money import currency
from payment_service.model import Payment, Status
from sagastream.answers import Answer, Moment, instant, moment
from sagastream.pages import EXAMPLE_CURSOR

_EXAMPLE: JsonDict = {
    "orderId": "388292668e9a475180f2f4ab76ae0a0a",
    "paymentId": "pay_3f9d2c1b7a60e5d4c8b1a290",
    "status": "Refunded",
    "amount": "299.99",
    "currency": "EUR",
    "paymentMethod": "CreditCard",
    "reason": "",
    "decidedAt": "2026-01-31T12:00:00.575Z",
    "refundedAmount": "299.99",
    "refundedAt": "2026-01-31T12:00:09.120Z",
}


class PaymentView(Answer):
    """An order's payment; amounts are decimals, ``paymentId`` is empty where nothing was charged.

    In a currency unknown to this shop, which only a provider's mistake can bring in, amounts are minor units.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    order_id: str
    payment_id: str
    status: Status
    amount: str
    currency: str
    payment_method: str
    reason: str
    decided_at: Moment
    refunded_amount: str | None
    refunded_at: Moment | None


class PaymentsView(Answer):
    """Payments, latest decision first; ``next`` is the cursor of the following page, null on the last one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"payments": [_EXAMPLE], "next": EXAMPLE_CURSOR}]})

    payments: list[PaymentView]
    next: str | None


def view(payment: Payment) -> PaymentView:
    """Return a payment as clients see it."""
    amount = _shown(payment.amount_cents, payment.currency)
    refunded_at = moment(payment.refunded_ms)
    return PaymentView(
        order_id=payment.order_id,
        payment_id=payment.reference,
        status=payment.status,
        amount=amount,
        currency=payment.currency,
        payment_method=payment.method,
        reason=payment.reason,
        decided_at=instant(payment.decided_ms),
        refunded_amount=amount if refunded_at else None,  # a charge is always refunded in full
        refunded_at=refunded_at,
    )


def _shown(cents: int, code: str) -> str:
    try:
        return currency(code).show(cents)
    except ValueError:  # a provider may report any currency, and a payment in an unknown one must stay visible
        return f"{cents} minor units"
