"""The order service's books on the in-memory server, changed by the shipped script."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from order_service import store
from order_service.model import Line, Order
from tests.unit.slot import Slot

from .shop import Shop

ORDER = Order(
    id="order-1",
    saga_id="saga-1",
    customer_id="customer-1",
    store_id="store-1",
    payment_method="CreditCard",
    total_cents=29999,
    currency="EUR",
    lines=(Line("product-1", 2, 14999),),
    email="ann@example.org",
    request="fingerprint",
)


class Office(Slot):
    """The order service's slot."""

    async def take(self, order: Order) -> None:
        """Write an order."""
        tx = self.transaction()
        store.add(tx, order)
        assert (await self.commit(tx))[0].is_ok

    async def order(self) -> Order:
        """Return the order as stored."""
        found = await store.load(self.reader, "order-1")
        assert found is not None
        return found


@pytest.fixture
def office() -> Office:
    """Return an office without orders."""
    return Office("order")


@pytest.fixture
def shop() -> Shop:
    """Return a shop without orders."""
    return Shop()


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of that shop."""
    async with shop.client() as client:
        yield client
