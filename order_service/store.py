"""Orders in Redis: model ↔ hash. Owns the names and fields below; decides nothing.

| name under ``{order}``            | type | fields / members                                      | life           |
|-----------------------------------|------|-------------------------------------------------------|----------------|
| ``order:<id>``                    | hash | the model's fields; ``lines`` and ``names`` as JSON   | for ever       |
| ``orders``                        | zset | order id, score: placed ms                            | for ever       |
| ``orders:by-customer:<customer>`` | zset | order id, score: placed ms                            | for ever       |
| ``request:<digest of a key>``     | hash | request, order_id, saga_id                            | ``REMEMBERED`` |
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pydantic_core import from_json, to_json

from order_service.model import Earlier, Line, Order, Status
from sagastream import Transaction
from sagastream.envelope import derived_id
from sagastream.reader import Reads

ORDERS = "orders"
REMEMBERED = timedelta(days=7)


def order_key(order_id: str) -> str:
    """Name the hash of one order."""
    return f"order:{order_id}"


def customer_key(customer_id: str) -> str:
    """Name the index of one customer's orders."""
    return f"orders:by-customer:{customer_id}"


def request_key(key: str) -> str:
    """Name the hash of the request under an ``Idempotency-Key``."""
    return f"request:{derived_id('request', key)}"


async def load(reads: Reads, order_id: str) -> Order | None:
    """Return an order, or None if no order has this id."""
    fields = await reads.read_all(order_key(order_id))
    return _order(order_id, fields) if fields else None


def add(tx: Transaction, order: Order) -> None:
    """Write a new order; the commit is refused if the id is already in use."""
    key = order_key(order.id)
    tx.expect(key, "status", None)
    tx.set(key, _fields(replace(order, placed_ms=tx.now_ms)))
    tx.schedule(ORDERS, order.id, tx.now_ms)
    tx.schedule(customer_key(order.customer_id), order.id, tx.now_ms)


def remember(tx: Transaction, key: str, order: Order) -> None:
    """Write the request under a key; the commit is refused if the key is already in use."""
    name = request_key(key)
    tx.expect(name, "request", None)
    tx.set(name, {"request": order.request, "order_id": order.id, "saga_id": order.saga_id})
    tx.expire(name, REMEMBERED)


async def load_earlier(reads: Reads, key: str) -> Earlier | None:
    """Return the earlier request under a key, or None if none is remembered."""
    fields = await reads.read_all(request_key(key))
    return Earlier(request=fields["request"], order_id=fields["order_id"]) if fields else None


def settle(tx: Transaction, order: Order, before: Status) -> None:
    """Write an order's new status; the commit is refused if the stored status is no longer ``before``."""
    key = order_key(order.id)
    tx.expect(key, "status", before.value)
    tx.set(key, {"status": order.status.value, "settled_ms": order.settled_ms or 0})


def _fields(order: Order) -> dict[str, str | int]:
    lines = [[line.product_id, line.quantity, line.unit_price_cents] for line in order.lines]
    fields: dict[str, str | int] = {
        "saga_id": order.saga_id,
        "customer_id": order.customer_id,
        "store_id": order.store_id,
        "payment_method": order.payment_method,
        "total_cents": order.total_cents,
        "currency": order.currency,
        "lines": to_json(lines).decode(),
        "request": order.request,
        "status": order.status.value,
        "placed_ms": order.placed_ms,
    }
    if order.email is not None:
        fields["email"] = order.email
    if any(line.name for line in order.lines):
        fields["names"] = to_json([line.name for line in order.lines]).decode()
    return fields


def _order(order_id: str, fields: dict[str, str]) -> Order:
    lines = from_json(fields["lines"])
    names = from_json(fields["names"]) if "names" in fields else [None] * len(lines)
    return Order(
        id=order_id,
        saga_id=fields["saga_id"],
        customer_id=fields["customer_id"],
        store_id=fields["store_id"],
        payment_method=fields["payment_method"],
        total_cents=int(fields["total_cents"]),
        currency=fields["currency"],
        lines=tuple(
            Line(product, quantity, price, name) for (product, quantity, price), name in zip(lines, names, strict=True)
        ),
        email=fields.get("email"),
        request=fields["request"],
        status=Status(fields["status"]),
        placed_ms=int(fields["placed_ms"]),
        settled_ms=int(fields["settled_ms"]) if "settled_ms" in fields else None,
    )
