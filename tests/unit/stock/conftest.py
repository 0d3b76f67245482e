"""A store's shelf on the in-memory server, changed by the shipped script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import pytest

from sagastream.keys import Keys
from sagastream.reader import Reader
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from sagastream.transaction import Outcome, Transaction, Transactor
from stock_service import store
from stock_service.model import Level

E = TypeVar("E")
R = TypeVar("R")
NOW_MS = 1_700_000_000_000


@dataclass
class Warehouse:
    """Runs handlers and commits what they want."""

    reader: Reader
    transactor: Transactor

    def transaction(self, saga_id: str) -> Transaction:
        """Return a transaction as a handler of this saga gets it."""
        return Transaction(self.reader, saga_id=saga_id, key=f"{saga_id}.step", now_ms=NOW_MS)

    async def handle(
        self, handler: Callable[[E, Transaction], Awaitable[R]], event: E, saga_id: str = "saga-1"
    ) -> tuple[R, Outcome]:
        """Run a handler and commit; return what it said and what became of it."""
        tx = self.transaction(saga_id)
        said = await handler(event, tx)
        return said, (await self.commit(tx))[0]

    async def commit(self, *transactions: Transaction) -> list[Outcome]:
        """Commit transactions in one call."""
        return (await self.transactor.commit(transactions)).outcomes

    async def stock(self, *levels: Level) -> None:
        """Put levels on the shelf."""
        for level in levels:
            tx = self.transaction("")
            store.add_level(tx, level)
            assert all(outcome.is_ok for outcome in await self.commit(tx))

    async def pieces(self, product_id: str) -> tuple[int, int]:
        """Return how many pieces are available and reserved."""
        level = await store.load_level(self.reader, "store-1", product_id)
        assert level is not None
        return level.available, level.reserved


@pytest.fixture
def warehouse() -> Warehouse:
    """Return an empty warehouse."""
    connection = MemoryConnection(MemoryServer(lambda: NOW_MS))
    keys = Keys("test:", "stock")
    return Warehouse(Reader(connection, keys), Transactor(connection, keys, retention=timedelta(days=7)))
