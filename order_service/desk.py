"""Takes orders: each key once, none while the shop is overloaded. Reads no request body and writes no answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from events import OrderCreated
from money import Currency
from order_service import handlers, store
from order_service.model import Earlier, Line, Order
from order_service.requests import OrderRequest, UserOrderRequest
from sagastream import Conflict, Entrance
from sagastream.coordinator.listing import Listing
from sagastream.endings import Endings
from sagastream.envelope import derived_id
from sagastream.errors import Undecodable
from sagastream.overload import Overload
from sagastream.problems import Problem
from sagastream.saga.lifecycle import Status as SagaStatus


@dataclass(frozen=True)
class Desk:
    """What the order routes need: access to sagas and their ends, the overload check, the shop's rules and defaults."""

    entrance: Entrance
    endings: Endings
    overload: Overload
    sagas: Listing
    currency: Currency
    tolerance_cents: int
    store_id: str = "store-1"
    payment_method: str = "CreditCard"
    new_id: Callable[[], str] = lambda: uuid4().hex


def order_of(asked: OrderRequest, desk: Desk, key: str | None) -> Order:
    """Return the order that a customer asks for, with ids derived from the key if there is one."""
    return _identified(desk, asked, key, Order(
        id="",
        saga_id="",
        customer_id=asked.customer_id,
        store_id=asked.store_id,
        payment_method=asked.payment_method,
        total_cents=asked.total_amount_cents,
        currency=desk.currency.code,
        lines=tuple(Line(line.product_id, line.quantity, line.unit_price_cents) for line in asked.items),
        email=asked.email,
    ))  # fmt: skip


def order_of_user(asked: UserOrderRequest, desk: Desk, key: str | None) -> Order:
    """Return the order that a user asks for, completed by the shop's defaults, with ids derived from any key."""
    return _identified(desk, asked, key, Order(
        id="",
        saga_id="",
        customer_id=asked.user_id,
        store_id=desk.store_id,
        payment_method=desk.payment_method,
        total_cents=asked.total_cents,
        currency=desk.currency.code,
        lines=tuple(Line(line.product_id, line.quantity, line.price_cents, line.product_name) for line in asked.items),
    ))  # fmt: skip


async def take(order: Order, key: str | None, desk: Desk) -> Order:
    """Place an order, or return the current state of the order already placed under its key.

    Raises: ``Problem`` 503 while a participant is too far behind, 422 if the key was used for another request;
    nothing is written then.
    """
    behind = await desk.overload.worst()
    if behind is not None:
        earlier = None if key is None else await store.load_earlier(desk.entrance.reader, key)
        if earlier is not None:
            return await _repeated(order, earlier, desk)
        raise Problem(
            503,
            f"the shop cannot keep up: {behind.bound.by} is {behind.age.total_seconds():.0f} s behind, "
            f"nothing was ordered; try again in {behind.retry_after_s} s",
            headers={"Retry-After": str(behind.retry_after_s)},
        )
    try:
        begun = await handlers.place(order, desk.entrance, key=key)
    except Conflict:
        # Another request with this key was committed first, perhaps at this very moment: the commit lets one through.
        earlier = None if key is None else await store.load_earlier(desk.entrance.reader, key)
        if earlier is not None:
            return await _repeated(order, earlier, desk)
        placed = await store.load(desk.entrance.reader, order.id)  # the key has expired, the order has not
        if placed is None:
            raise
        return placed
    return await existing(order.id, desk) if begun.repeated else order


async def existing(order_id: str, desk: Desk) -> Order:
    """Return an order.

    Raises: ``Problem`` 404 if there is none of this id.
    """
    found = await store.load(desk.entrance.reader, order_id)
    if found is None:
        raise Problem(404, f"there is no order {order_id}")
    return found


async def is_closed_by_a_person(order: Order, desk: Desk) -> bool:
    """Tell whether a person closed the order's saga as it stood: nothing of it will be undone any more."""
    with suppress(Undecodable):
        found = await desk.sagas.find(order.saga_id)
        return found is not None and found.record.status == SagaStatus.ABORTED
    return False


async def _repeated(order: Order, earlier: Earlier, desk: Desk) -> Order:
    if earlier.request != order.request:
        raise Problem(422, "this Idempotency-Key was used for another request; use a new one")
    return await existing(earlier.order_id, desk)


def _identified(desk: Desk, asked: OrderRequest | UserOrderRequest, key: str | None, order: Order) -> Order:
    """Return an order with its ids.

    A request repeated under its key gets the same ids, even if the store has lost the first one (in a fail-over, or
    because an older backup was restored): the provider then recognises the charge and takes the money once.
    """
    request = derived_id("request", type(asked).__name__, asked.model_dump_json())
    order_id = desk.new_id() if key is None else derived_id("order", key, request)
    return replace(order, id=order_id, saga_id=desk.entrance.saga_id(OrderCreated, order_id), request=request)
