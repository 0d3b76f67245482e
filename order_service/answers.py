"""What clients are shown of orders. Pure: a model in, an answer out."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from money import currency
from order_service.model import Order, Status


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Accepted(_Answer):
    """An order that is on its way, and the saga that carries it."""

    order_id: str
    saga_id: str
    status: Status


class LineView(_Answer):
    """One line of an order."""

    product_id: str
    quantity: int
    unit_price: str
    total_price: str


class OrderView(_Answer):
    """An order as it stands; amounts are decimal strings in ``currency``."""

    order_id: str
    saga_id: str
    customer_id: str
    store_id: str
    status: Status
    payment_method: str
    currency: str
    total_amount: str
    adjustment: str
    items: list[LineView]
    email: str | None
    created_at: datetime
    settled_at: datetime | None


def view(order: Order) -> OrderView:
    """Return an order as clients are shown it."""
    show = currency(order.currency).show
    return OrderView(
        order_id=order.id,
        saga_id=order.saga_id,
        customer_id=order.customer_id,
        store_id=order.store_id,
        status=order.status,
        payment_method=order.payment_method,
        currency=order.currency,
        total_amount=show(order.total_cents),
        adjustment=show(order.adjustment_cents),
        items=[
            LineView(
                product_id=line.product_id,
                quantity=line.quantity,
                unit_price=show(line.unit_price_cents),
                total_price=show(line.total_cents),
            )
            for line in order.lines
        ],
        email=order.email,
        created_at=_instant(order.placed_ms),
        settled_at=None if order.settled_ms is None else _instant(order.settled_ms),
    )


def state_path(saga_id: str) -> str:
    """Return where a saga's state is shown."""
    return f"/api/choreographedsaga/state/{saga_id}"


def _instant(ms: int) -> datetime:
    seconds, rest = divmod(ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
