"""What the order service relies on: who performs each step of an order, after which event, and within what time.

Pure. A service never imports another, so this repeats part of the coordinator's table; a test keeps the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from events import OrderConfirmed, OrderCreated, PaymentProcessed, StockReserved
from sagastream import Event
from sagastream.overload import Bound


@dataclass(frozen=True, slots=True)
class Promise:
    """One step: ``by`` performs it once ``after`` is published, ``within`` this time."""

    step: str
    by: str
    after: type[Event]
    within: timedelta


PROMISES = (
    Promise("reserve stock", by="stock", after=OrderCreated, within=timedelta(seconds=30)),
    Promise("charge payment", by="payment", after=StockReserved, within=timedelta(seconds=60)),
    Promise("confirm order", by="order", after=PaymentProcessed, within=timedelta(seconds=30)),
    Promise("notify customer", by="notification", after=OrderConfirmed, within=timedelta(minutes=5)),
)


def bounds(pace: float) -> list[Bound]:
    """Return how far behind each step may be before new orders are refused: half of its time.

    ``pace`` is the factor on every deadline. Source: DESIGN 6, overload.
    """
    return [Bound(promise.after, promise.by, promise.within * pace / 2) for promise in PROMISES]
