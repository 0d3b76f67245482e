"""Payments in Redis: model ↔ hash. Owns the names and fields below; decides nothing.

| name under ``{payment}``  | type | fields / members                   | life     |
|---------------------------|------|------------------------------------|----------|
| ``payment:<order id>``    | hash | the model's fields, snake_case     | for ever |
| ``payments``              | zset | order id, score: decided ms        | for ever |
"""

from __future__ import annotations

from payment_service.model import Payment, Status
from sagastream import Transaction
from sagastream.reader import Reads

PAYMENTS = "payments"


def payment_key(order_id: str) -> str:
    """Name the hash of one order's payment."""
    return f"payment:{order_id}"


async def load(reads: Reads, order_id: str) -> Payment | None:
    """Return an order's payment, or None while it is undecided."""
    fields = await reads.read_all(payment_key(order_id))
    return _payment(order_id, fields) if fields else None


def save(tx: Transaction, payment: Payment) -> None:
    """Write a decided payment."""
    fields: dict[str, str | int] = {
        "status": payment.status.value,
        "amount_cents": payment.amount_cents,
        "currency": payment.currency,
        "method": payment.method,
        "key": payment.key,
        "reference": payment.reference,
        "reason": payment.reason,
        "decided_ms": payment.decided_ms,
    }
    if payment.refunded_ms is not None:
        fields["refunded_ms"] = payment.refunded_ms
    tx.set(payment_key(payment.order_id), fields)
    tx.schedule(PAYMENTS, payment.order_id, payment.decided_ms)


def _payment(order_id: str, fields: dict[str, str]) -> Payment:
    return Payment(
        order_id=order_id,
        status=Status(fields["status"]),
        amount_cents=int(fields["amount_cents"]),
        currency=fields["currency"],
        method=fields["method"],
        key=fields["key"],
        decided_ms=int(fields["decided_ms"]),
        reference=fields["reference"],
        reason=fields["reason"],
        refunded_ms=int(fields["refunded_ms"]) if "refunded_ms" in fields else None,
    )
