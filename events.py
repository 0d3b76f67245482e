"""The shop's vocabulary, in the order an order's saga meets it.

``by`` names the publishing service. Money is in minor units of the one configured currency; no ``float`` appears.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from sagastream import Event, Refusal

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Cents = Annotated[int, Field(ge=0, le=999_999_999_999)]


class Item(BaseModel):
    """One line of an order: ``quantity`` pieces of a product at ``unit_price_cents`` each."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    product_id: Id
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    unit_price_cents: Cents


class OrderEvent(Event):
    """What every event of an order's saga carries: the order's id."""

    about = "order_id"
    order_id: Id


class OrderCreated(OrderEvent, by="order"):
    """A customer's order was accepted; nothing is held or charged yet."""

    customer_id: Id
    store_id: Id
    payment_method: str
    total_cents: Cents
    currency: str
    items: Annotated[tuple[Item, ...], Field(min_length=1, max_length=100)]


class StockReserved(OrderEvent, by="stock"):
    """Every line is held for the order; carries what the payment service needs to charge."""

    customer_id: Id
    payment_method: str
    total_cents: Cents
    currency: str


class StockReservationFailed(OrderEvent, Refusal, by="stock"):
    """Not every line could be held, so none is."""


class PaymentProcessed(OrderEvent, by="payment"):
    """The payment was taken."""

    payment_id: str
    amount_cents: Cents
    currency: str


class PaymentFailed(OrderEvent, Refusal, by="payment"):
    """The payment was refused; nothing was taken."""


class OrderConfirmed(OrderEvent, by="order"):
    """The shop commits to the order: from here on nothing is undone."""

    total_cents: Cents
    currency: str
    email: str | None = None


class NotificationSent(OrderEvent, by="notification"):
    """The customer was notified that the order is confirmed."""

    channel: str


class NotificationFailed(OrderEvent, Refusal, by="notification"):
    """The customer cannot be notified (the address is refused for good)."""


class OrderCancellationRequested(OrderEvent, by="order"):
    """A person cancelled the order in time: its confirmation is barred."""

    reason: str


class PaymentRefunded(OrderEvent, by="payment"):
    """The payment was refunded."""

    payment_id: str
    amount_cents: Cents
    currency: str


class StockReleased(OrderEvent, by="stock"):
    """The stock held for the order was released."""


class OrderCancelled(OrderEvent, by="order"):
    """The order is closed without effect."""

    email: str | None = None


class CancellationNoticeSent(OrderEvent, by="notification"):
    """The customer was notified that the order is cancelled."""

    channel: str
