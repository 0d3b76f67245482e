"""The payment routes. Speaks HTTP; decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from money import currency
from payment_service import store
from payment_service.model import Payment, Status
from payment_service.store import Reads
from sagastream.problems import Problem

OrderId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class PaymentView(BaseModel):
    """An order's payment; ``amount`` is a decimal, ``paymentId`` is empty where nothing was taken."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    order_id: str
    payment_id: str
    status: Status
    amount: str
    currency: str
    payment_method: str
    reason: str
    decided_at: AwareDatetime
    refunded_at: AwareDatetime | None


def payment_routes(reads: Reads) -> APIRouter:
    """Return the routes that show payments."""
    router = APIRouter(tags=["payments"])

    @router.get("/api/payments/{order_id}", operation_id="getPayment")
    async def show(order_id: OrderId) -> PaymentView:
        """Show what became of an order's payment; 404 while nothing is decided."""
        found = await store.load(reads, order_id)
        if found is None:
            raise Problem(404, f"no payment of order {order_id} is decided yet, or there is no such order")
        return view(found)

    return router


def view(payment: Payment) -> PaymentView:
    """Return a payment as shown."""
    return PaymentView(
        order_id=payment.order_id,
        payment_id=payment.reference,
        status=payment.status,
        amount=currency(payment.currency).show(payment.amount_cents),
        currency=payment.currency,
        payment_method=payment.method,
        reason=payment.reason,
        decided_at=_instant(payment.decided_ms),
        refunded_at=None if payment.refunded_ms is None else _instant(payment.refunded_ms),
    )


def _instant(ms: int) -> datetime:
    seconds, rest = divmod(ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
