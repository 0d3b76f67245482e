"""The demo shop's products. Writes each product that does not exist yet; changes none later."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from money import Currency
from sagastream import Conflict, Entrance, Transaction
from stock_service import store
from stock_service.model import Level

_DEMO = (  # store, product, name, price, pieces
    ("store-1", "product-1", "Espresso machine", "149.99", 10_000),
    ("store-1", "product-2", "Coffee grinder", "89.50", 10_000),
    ("store-1", "product-3", "Coffee beans, 1 kg", "24.90", 10_000),
    ("store-1", "product-4", "Milk jug", "19.95", 10_000),
    ("store-1", "scarce-product", "Limited edition cup", "12.00", 50),
    ("store-1", "sold-out-product", "Last year's calendar", "9.99", 0),
    ("store-2", "product-1", "Espresso machine", "149.99", 500),
    ("store-2", "product-2", "Coffee grinder", "89.50", 500),
)


def demo_levels(currency: Currency) -> tuple[Level, ...]:
    """Return the stock levels of the demo's products, with prices in the given currency."""
    return tuple(
        Level(
            store_id=store_id,
            product_id=product_id,
            name=name,
            available=pieces,
            initial=pieces,
            price_cents=currency.parse_at_most(price),
            currency=currency.code,
        )
        for store_id, product_id, name, price, pieces in _DEMO
    )


async def seed(levels: Iterable[Level], entrance: Entrance) -> int:
    """Write the levels that are absent, in one commit; return how many were."""
    levels = tuple(levels)
    while True:
        absent = [level for level in levels if not await _is_known(level, entrance)]
        if not absent:
            return 0
        try:
            await entrance.change(_adding(absent))
        except Conflict:
            continue  # another worker of this service is seeding at the same time; read again
        return len(absent)


async def _is_known(level: Level, entrance: Entrance) -> bool:
    return await store.load_level(entrance.reader, level.store_id, level.product_id) is not None


def _adding(levels: Iterable[Level]) -> Callable[[Transaction], None]:
    def add(tx: Transaction) -> None:
        for level in levels:
            store.add_level(tx, level)

    return add
