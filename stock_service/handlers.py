"""The stock service's part in the saga: hold every line of an order or none, and release them on undo."""

from __future__ import annotations

from events import OrderCreated, StockReleased, StockReservationFailed, StockReserved
from money import currency
from sagastream import Participant, Transaction
from stock_service import model, store
from stock_service.model import Reservation, ReservationStatus, Wanted

stock = Participant("stock")


@stock.on(OrderCreated)
async def reserve(order: OrderCreated, tx: Transaction) -> StockReserved | StockReservationFailed:
    """Hold every line of an order, or refuse with the reason why none is held."""
    lines = tuple(Wanted(item.product_id, item.quantity, item.unit_price_cents) for item in order.items)
    pieces = model.pieces_wanted(lines)
    earlier, levels = await store.load_to_hold(tx, order.order_id, order.store_id, pieces)

    reason = model.why_not(order.store_id, lines, levels, currency(order.currency))
    if earlier is not None:  # another saga names the same order: a second reservation would hide the first
        reason = f"order {order.order_id} already has a reservation"
    if reason is not None:
        return StockReservationFailed(order_id=order.order_id, reason=reason)

    store.hold(
        tx,
        Reservation(
            order_id=order.order_id,
            saga_id=tx.saga_id,
            store_id=order.store_id,
            status=ReservationStatus.HELD,
            pieces=pieces,
            since_ms=tx.now_ms,
        ),
    )
    return StockReserved(
        order_id=order.order_id,
        customer_id=order.customer_id,
        payment_method=order.payment_method,
        total_cents=order.total_cents,
        currency=order.currency,
    )


@stock.undo(StockReserved)
async def release(reserved: StockReserved, tx: Transaction) -> StockReleased:
    """Release exactly the pieces held for the order."""
    held = await store.load_reservation(tx, reserved.order_id)
    if held is None or held.saga_id != tx.saga_id:
        raise LookupError(
            f"the ledger of saga {tx.saga_id} says stock is held for order {reserved.order_id}, "
            "but no such reservation is stored; restore it, then replay the letter"
        )
    if held.status is ReservationStatus.HELD:
        store.put_back(tx, held)
    return StockReleased(order_id=reserved.order_id)
