"""Work prepared before the clock starts: stock that never runs out, and orders already placed."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from events import OrderCreated
from order_service.handlers import order, place
from order_service.model import Line, Order
from sagastream import Conflict, Entrance, Settings, Transaction, connect
from stock_service import store
from stock_service.handlers import stock
from stock_service.model import Level

STORE = "store-1"
PRODUCTS = 10
PIECES = 10**9
PRICE_CENTS = 14_999
_METHODS = ("CreditCard", "DeclinedCard")


async def lay_ready(url: str, sagas: int, *, declined: int, named: str = "order") -> None:
    """Begin sagas through the shop's own entrance; ``declined`` of them will be refused at payment and undone.

    Their orders are named by ``named`` and a number, and must not exist.
    """
    await fill_shelves(url)
    settings = Settings(redis_url=url)
    bus = connect(url, name="bench", block=settings.block)
    try:
        entrance = Entrance(order, bus=bus, settings=settings)
        # Spread evenly, so that every batch has both outcomes.
        turned_back = [(at + 1) * declined // sagas > at * declined // sagas for at in range(sagas)]
        await asyncio.gather(
            *(
                place(an_order(f"{named}-{at}", at, entrance, _METHODS[no]), entrance)
                for at, no in enumerate(turned_back)
            )
        )
    finally:
        await bus.close()


async def fill_shelves(url: str) -> None:
    """Fill the store with more of every product than will be ordered, unless it is there already."""
    settings = Settings(redis_url=url)
    bus = connect(url, name="bench", block=settings.block)
    try:
        with suppress(Conflict):
            await Entrance(stock, bus=bus, settings=settings).change(_fill)
    finally:
        await bus.close()


def product(number: int) -> str:
    """Return the id of a product used only by benchmarks."""
    return f"bench-{number}"


def _fill(tx: Transaction) -> None:
    for at in range(PRODUCTS):
        level = Level(STORE, product(at), "Bench", available=PIECES, initial=PIECES, price_cents=PRICE_CENTS)
        store.add_level(tx, level)


def an_order(order_id: str, at: int, entrance: Entrance, method: str = "CreditCard") -> Order:
    """Return an order of some product, paid by the given method."""
    return Order(
        id=order_id,
        saga_id=entrance.saga_id(OrderCreated, order_id),
        customer_id=f"customer-{at % 100}",
        store_id=STORE,
        payment_method=method,
        total_cents=2 * PRICE_CENTS + 1,
        currency="EUR",
        lines=(Line(product(at % PRODUCTS), 2, PRICE_CENTS),),
    )
