"""The order service's books on the in-memory server, changed by the shipped script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import httpx
import pytest

from order_service import store
from order_service.model import Line, Order
from sagastream.keys import Keys
from sagastream.reader import Reader
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from sagastream.transaction import Outcome, Transaction, Transactor

from .shop import NOW_MS, Shop

E = TypeVar("E")
R = TypeVar("R")
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


@dataclass
class Office:
    """Runs handlers and commits what they want."""

    reader: Reader
    transactor: Transactor

    def transaction(self, now_ms: int = NOW_MS) -> Transaction:
        """Return a transaction as a handler of the order's saga gets it."""
        return Transaction(self.reader, saga_id="saga-1", key="saga-1.step", now_ms=now_ms)

    async def handle(
        self, handler: Callable[[E, Transaction], Awaitable[R]], event: E, now_ms: int = NOW_MS
    ) -> tuple[R, Outcome]:
        """Run a handler and commit; return what it said and what became of it."""
        tx = self.transaction(now_ms)
        said = await handler(event, tx)
        return said, (await self.commit(tx))[0]

    async def commit(self, *transactions: Transaction) -> list[Outcome]:
        """Commit transactions in one call."""
        return (await self.transactor.commit(transactions)).outcomes

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
    connection = MemoryConnection(MemoryServer(lambda: NOW_MS))
    keys = Keys("test:", "order")
    return Office(Reader(connection, keys), Transactor(connection, keys, retention=timedelta(days=7)))


@pytest.fixture
def shop() -> Shop:
    """Return a shop without orders."""
    return Shop()


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of that shop."""
    async with shop.client() as client:
        yield client
