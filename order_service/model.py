"""What an order is and how it may change. Pure: takes values, returns values, performs no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Status(StrEnum):
    """The status of an order; the last two are final."""

    PENDING = "Pending"
    CONFIRMED = "Confirmed"
    CANCELLED = "Cancelled"


class OrderSettled(Exception):
    """An order is already settled the other way and cannot change any more."""


@dataclass(frozen=True, slots=True)
class Line:
    """A quantity of one product at one unit price; ``name`` is the client's name for the product."""

    product_id: str
    quantity: int
    unit_price_cents: int
    name: str | None = None

    @property
    def total_cents(self) -> int:
        """Return the price of the whole line."""
        return self.quantity * self.unit_price_cents


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is remembered of an earlier request with a key: its content's id and the order it became."""

    request: str
    order_id: str


@dataclass(frozen=True, slots=True)
class Order:
    """A customer's order.

    ``total_cents`` is what is charged; it may differ from the sum of the lines by ``adjustment_cents``
    (Source: CONTRACT decision 2). ``request`` identifies the content of the client's request, so that a repeated
    request can be distinguished from another one under the same key.
    """

    id: str
    saga_id: str
    customer_id: str
    store_id: str
    payment_method: str
    total_cents: int
    currency: str
    lines: tuple[Line, ...]
    email: str | None = None
    request: str = ""
    status: Status = Status.PENDING
    placed_ms: int = 0
    settled_ms: int | None = None

    @property
    def adjustment_cents(self) -> int:
        """Return the difference between the total and the sum of the lines."""
        return self.total_cents - lines_cents(self.lines)


def lines_cents(lines: tuple[Line, ...]) -> int:
    """Return the sum of the lines."""
    return sum(line.total_cents for line in lines)


def confirmed(order: Order, paid_cents: int, currency: str, at_ms: int) -> Order:
    """Return the order as confirmed.

    Raises: ``OrderSettled`` if it is cancelled, ``ValueError`` if the amount paid is not its total.
    """
    if order.status is Status.CANCELLED:
        raise OrderSettled(f"order {order.id} is cancelled and cannot be confirmed")
    if (paid_cents, currency) != (order.total_cents, order.currency):
        raise ValueError(
            f"order {order.id} costs {order.total_cents} {order.currency}, "
            f"but {paid_cents} {currency} was paid (minor units)"
        )
    return replace(order, status=Status.CONFIRMED, settled_ms=at_ms)


def cancelled(order: Order, at_ms: int) -> Order:
    """Return the order as cancelled.

    Raises: ``OrderSettled`` if it is confirmed.
    """
    if order.status is Status.CONFIRMED:
        raise OrderSettled(f"order {order.id} is confirmed and cannot be cancelled")
    return replace(order, status=Status.CANCELLED, settled_ms=at_ms)
