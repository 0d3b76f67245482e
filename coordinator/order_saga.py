"""The saga of an order, as a table. Owns the shop's only definition, from which all else about its sagas follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from events import (
    NotificationFailed,
    NotificationSent,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    StockReleased,
    StockReservationFailed,
    StockReserved,
)
from sagastream import Saga, Step

ORDER = Saga(
    "order",
    version=1,
    begins_with=OrderCreated,
    begun_by="order",
    cancelled_by=OrderCancelled,
    cancellation=OrderCancellationRequested,
    within=timedelta(seconds=300),
    steps=(
        Step(
            "reserve stock",
            by="stock",
            done=StockReserved,
            refused=StockReservationFailed,
            undone=StockReleased,
            within=timedelta(seconds=30),
        ),
        Step(
            "charge payment",
            by="payment",
            done=PaymentProcessed,
            refused=PaymentFailed,
            undone=PaymentRefunded,
            within=timedelta(seconds=60),
        ),
        Step("confirm order", by="order", done=OrderConfirmed, pivot=True, within=timedelta(seconds=30)),
        Step(
            "notify customer",
            by="notification",
            done=NotificationSent,
            refused=NotificationFailed,
            within=timedelta(minutes=5),
        ),
    ),
)


def order_saga(pace: float = 1.0) -> Saga:
    """Return the table with every deadline multiplied by ``pace``, for demonstrations and tests that cannot wait."""
    steps = tuple(replace(step, within=step.within * pace) for step in ORDER.steps)
    within = ORDER.within * pace if ORDER.within is not None else None
    return replace(ORDER, steps=steps, within=within, patience=ORDER.patience * pace)
