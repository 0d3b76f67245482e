"""The order service's part in the saga: begin it, confirm the order (the pivot), or cancel the order."""

from __future__ import annotations

from events import (
    Item,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    PaymentProcessed,
)
from order_service import model, store
from order_service.model import Order
from sagastream import Begun, Entrance, Participant, Transaction, UnknownSaga

order = Participant("order")
order.begins(OrderCreated, saga="order", version=1)


async def place(placed: Order, entrance: Entrance, *, key: str | None = None) -> Begun:
    """Write an order and its client's key, if any, and begin its saga, in one commit.

    Raises: ``Conflict`` if a request is remembered under the key, or if an order of this id exists whose beginning
    the ledger no longer remembers.
    """
    created = OrderCreated(
        order_id=placed.id,
        customer_id=placed.customer_id,
        store_id=placed.store_id,
        payment_method=placed.payment_method,
        total_cents=placed.total_cents,
        currency=placed.currency,
        items=tuple(
            Item(product_id=line.product_id, quantity=line.quantity, unit_price_cents=line.unit_price_cents)
            for line in placed.lines
        ),
    )

    def write(tx: Transaction) -> None:
        store.add(tx, placed)
        if key is not None:
            store.remember(tx, key, placed)

    return await entrance.begin(
        created,
        key=placed.id,
        initiator=placed.customer_id,
        change=write,
    )


@order.on(PaymentProcessed)
async def confirm(payment: PaymentProcessed, tx: Transaction) -> OrderConfirmed:
    """Confirm a paid order: the shop is now committed to it, whatever happens later."""
    pending = await _existing(payment.order_id, tx)

    paid = model.confirmed(pending, payment.amount_cents, payment.currency, tx.now_ms)

    store.settle(tx, paid, before=pending.status)
    return OrderConfirmed(order_id=paid.id, total_cents=paid.total_cents, currency=paid.currency, email=paid.email)


@order.undo(OrderCreated)
async def cancel(created: OrderCreated, tx: Transaction) -> OrderCancelled:
    """Cancel an order whose saga is being compensated."""
    pending = await _existing(created.order_id, tx)

    closed = model.cancelled(pending, tx.now_ms)

    store.settle(tx, closed, before=pending.status)
    return OrderCancelled(order_id=closed.id, email=closed.email)


async def ask_to_cancel(pending: Order, reason: str, entrance: Entrance) -> bool:
    """Bar the confirmation and request the order's undo, in one commit; return whether this was in time."""
    if pending.status is model.Status.CONFIRMED:
        return False
    request = OrderCancellationRequested(order_id=pending.id, reason=reason)
    try:
        state = await entrance.bar(pending.saga_id, OrderConfirmed, because=request, initiator=pending.customer_id)
    except UnknownSaga:  # older than the ledger, which can no longer tell whether the order may be confirmed
        return False
    return state == "barred"


async def _existing(order_id: str, tx: Transaction) -> Order:
    found = await store.load(tx, order_id)
    if found is None:
        raise LookupError(f"order {order_id} of saga {tx.saga_id} is not stored; restore it, then replay the letter")
    if found.saga_id != tx.saga_id:  # another saga names the same order: it may neither confirm nor cancel it
        raise LookupError(f"order {order_id} belongs to saga {found.saga_id}, not to {tx.saga_id}, which names it too")
    return found
