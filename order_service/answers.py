"""The answers that show orders to clients. Pure: a model in, an answer out."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.config import JsonDict

from money import currency
from order_service.model import Order, Status
from sagastream.answers import Answer, Moment, instant, moment
from sagastream.pages import EXAMPLE_CURSOR

EXAMPLE_IDS: JsonDict = {
    "orderId": "388292668e9a475180f2f4ab76ae0a0a",
    "sagaId": "08d2ff4e32273c7fd87def91dfbbc7ee",
}
_EXAMPLE_ORDER: JsonDict = {
    **EXAMPLE_IDS,
    "customerId": "customer-1",
    "storeId": "store-1",
    "status": "Confirmed",
    "paymentMethod": "CreditCard",
    "currency": "EUR",
    "totalAmount": "299.99",
    "adjustment": "0.01",
    "items": [
        {
            "productId": "product-1",
            "productName": "Espresso machine",
            "quantity": 2,
            "unitPrice": "149.99",
            "totalPrice": "299.98",
        }
    ],
    "email": "ann@example.org",
    "createdAt": "2026-01-31T12:00:00.541Z",
    "settledAt": "2026-01-31T12:00:00.575Z",
}


class Accepted(Answer):
    """An accepted order and its saga, which decides it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**EXAMPLE_IDS, "status": "Pending"}]})

    order_id: str
    saga_id: str
    status: Status


class LineView(Answer):
    """One line of an order; ``productName`` is the client's name for the product, null if none was given."""

    product_id: str
    product_name: str | None
    quantity: int
    unit_price: str
    total_price: str


class OrderView(Answer):
    """An order and its current state; amounts are decimal strings in ``currency``."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_ORDER]})

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
    created_at: Moment
    settled_at: Moment | None


class OrdersView(Answer):
    """A user's orders, newest first; ``next`` is the cursor of the following page, null on the last one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"orders": [_EXAMPLE_ORDER], "next": EXAMPLE_CURSOR}]})

    orders: list[OrderView]
    next: str | None


def view(order: Order) -> OrderView:
    """Return an order as clients see it."""
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
                product_name=line.name,
                quantity=line.quantity,
                unit_price=show(line.unit_price_cents),
                total_price=show(line.total_cents),
            )
            for line in order.lines
        ],
        email=order.email,
        created_at=instant(order.placed_ms),
        settled_at=moment(order.settled_ms),
    )


def state_path(saga_id: str) -> str:
    """Return the path that shows a saga's state."""
    return f"/api/choreographedsaga/state/{saga_id}"


def course_path(order_id: str) -> str:
    """Return the path that shows the course of an order's saga."""
    return f"/api/orders/{order_id}/saga"
