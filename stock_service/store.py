"""Stock in Redis: model ↔ hashes. Owns the names and fields below; decides nothing.

| name under ``{stock}``                  | type | fields / members                                                           | life          |
|-----------------------------------------|------|----------------------------------------------------------------------------|---------------|
| ``level:<store>:<product>``             | hash | name, available, reserved, initial, restocked, price_cents, currency       | for ever      |
| ``levels``                              | zset | ``<store>:<product>``, score: created ms                                   | for ever      |
| ``levels:<store>``                      | zset | product id, score: created ms                                              | for ever      |
| ``reservation:<order>``                 | hash | saga_id, store_id, status, pieces (JSON), since_ms, released_ms            | for ever      |
| ``reservations``                        | zset | order id, score: since ms                                                  | for ever      |
| ``delivery:<store>:<product>:<key>``    | hash | quantity                                                                   | ``REMEMBERED`` |

Ids never contain a colon, so these names cannot collide.
"""  # noqa: E501  # the table is one line per key

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from pydantic_core import from_json, to_json

from sagastream import Transaction
from sagastream.reader import Reads
from stock_service.model import Level, Reservation, ReservationStatus

LEVELS = "levels"
RESERVATIONS = "reservations"
REMEMBERED = timedelta(days=7)


def level_key(store_id: str, product_id: str) -> str:
    """Name the hash of one product in one store."""
    return f"level:{store_id}:{product_id}"


def products_key(store_id: str) -> str:
    """Name the index of one store's products."""
    return f"levels:{store_id}"


def reservation_key(order_id: str) -> str:
    """Name the hash of one order's reservation."""
    return f"reservation:{order_id}"


def delivery_key(store_id: str, product_id: str, key: str) -> str:
    """Name the hash that records one delivery."""
    return f"delivery:{store_id}:{product_id}:{key}"


async def load_level(reads: Reads, store_id: str, product_id: str) -> Level | None:
    """Return a store's stock of a product, or None if it does not carry the product."""
    fields = await reads.read_all(level_key(store_id, product_id))
    return _level(store_id, product_id, fields) if fields else None


async def load_levels(reads: Reads, store_id: str, product_ids: Iterable[str]) -> dict[str, Level]:
    """Return a store's levels by product, without products it does not carry; all are read in one round trip."""
    ids = list(product_ids)
    return _levels(store_id, ids, await reads.read_all_each([level_key(store_id, product_id) for product_id in ids]))


async def load_reservation(reads: Reads, order_id: str) -> Reservation | None:
    """Return an order's reservation, held or released, or None if it never had one."""
    fields = await reads.read_all(reservation_key(order_id))
    return _reservation(order_id, fields) if fields else None


async def load_to_hold(
    reads: Reads, order_id: str, store_id: str, product_ids: Iterable[str]
) -> tuple[Reservation | None, dict[str, Level]]:
    """Return an order's reservation, and a store's levels by product; all are read in one round trip."""
    ids = list(product_ids)
    keys = [reservation_key(order_id), *(level_key(store_id, product_id) for product_id in ids)]
    held, *levels = await reads.read_all_each(keys)
    return _reservation(order_id, held) if held else None, _levels(store_id, ids, levels)


def add_level(tx: Transaction, level: Level) -> None:
    """Write a new level; the commit is refused if the store already carries the product."""
    key = level_key(level.store_id, level.product_id)
    tx.expect(key, "initial", None)
    fields: dict[str, str | int] = {
        "name": level.name,
        "available": level.available,
        "reserved": level.reserved,
        "initial": level.initial,
        "restocked": level.restocked,
    }
    if level.price_cents is not None:
        fields |= {"price_cents": level.price_cents, "currency": level.currency}
    tx.set(key, fields)
    tx.schedule(LEVELS, f"{level.store_id}:{level.product_id}", tx.now_ms)
    tx.schedule(products_key(level.store_id), level.product_id, tx.now_ms)


def describe(tx: Transaction, level: Level) -> None:
    """Write a level's name and price; its pieces stay unchanged."""
    key = level_key(level.store_id, level.product_id)
    tx.expect(key, "initial", str(level.initial))
    tx.set(key, {"name": level.name})
    if level.price_cents is None:
        tx.unset(key, "price_cents", "currency")
    else:
        tx.set(key, {"price_cents": level.price_cents, "currency": level.currency})


def restock(tx: Transaction, level: Level, quantity: int, delivery: str | None) -> None:
    """Add pieces to a level; the commit is refused if this delivery was added before."""
    key = level_key(level.store_id, level.product_id)
    if delivery is not None:
        remembered = delivery_key(level.store_id, level.product_id, delivery)
        tx.expect(remembered, "quantity", None)
        tx.set(remembered, {"quantity": quantity})
        tx.expire(remembered, REMEMBERED)
    tx.expect(key, "initial", str(level.initial))
    tx.increase(key, "available", quantity)
    tx.increase(key, "restocked", quantity)


def hold(tx: Transaction, reservation: Reservation) -> None:
    """Move pieces from available to reserved and store the order's reservation.

    The commit is refused if a product has run short meanwhile or the order already has a reservation.
    """
    key = reservation_key(reservation.order_id)
    tx.expect(key, "status", None)
    for product_id, quantity in reservation.pieces.items():
        level = level_key(reservation.store_id, product_id)
        tx.decrease(level, "available", quantity)
        tx.increase(level, "reserved", quantity)
    tx.set(
        key,
        {
            "saga_id": reservation.saga_id,
            "store_id": reservation.store_id,
            "status": reservation.status.value,
            "pieces": to_json(dict(reservation.pieces)).decode(),
            "since_ms": reservation.since_ms,
        },
    )
    tx.schedule(RESERVATIONS, reservation.order_id, reservation.since_ms)


def put_back(tx: Transaction, held: Reservation) -> None:
    """Move the reserved pieces back to available; the commit is refused if they are no longer held."""
    key = reservation_key(held.order_id)
    tx.expect(key, "status", ReservationStatus.HELD.value)
    for product_id, quantity in held.pieces.items():
        level = level_key(held.store_id, product_id)
        tx.decrease(level, "reserved", quantity)
        tx.increase(level, "available", quantity)
    tx.set(key, {"status": ReservationStatus.RELEASED.value, "released_ms": tx.now_ms})


def _levels(store_id: str, product_ids: Iterable[str], hashes: Iterable[dict[str, str]]) -> dict[str, Level]:
    each = zip(product_ids, hashes, strict=True)
    return {product_id: _level(store_id, product_id, fields) for product_id, fields in each if fields}


def _level(store_id: str, product_id: str, fields: dict[str, str]) -> Level:
    price = fields.get("price_cents")
    return Level(
        store_id=store_id,
        product_id=product_id,
        name=fields["name"],
        available=int(fields["available"]),
        reserved=int(fields["reserved"]),
        initial=int(fields["initial"]),
        restocked=int(fields["restocked"]),
        price_cents=None if price is None else int(price),
        currency=fields.get("currency", ""),
    )


def _reservation(order_id: str, fields: dict[str, str]) -> Reservation:
    released = fields.get("released_ms")
    return Reservation(
        order_id=order_id,
        saga_id=fields["saga_id"],
        store_id=fields["store_id"],
        status=ReservationStatus(fields["status"]),
        pieces=from_json(fields["pieces"]),
        since_ms=int(fields["since_ms"]),
        released_ms=None if released is None else int(released),
    )
