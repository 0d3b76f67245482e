"""One service's keys on the in-memory server, changed by the shipped script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from sagastream.keys import Keys
from sagastream.reader import Reader
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from sagastream.transaction import Outcome, Transaction, Transactor

NOW_MS = 1_700_000_000_000
E = TypeVar("E")
R = TypeVar("R")


class Slot:
    """Runs handlers and commits what they want."""

    def __init__(self, owner: str) -> None:
        connection, keys = MemoryConnection(MemoryServer(lambda: NOW_MS)), Keys("test:", owner)
        self.reader = Reader(connection, keys)
        self.transactor = Transactor(connection, keys, retention=timedelta(days=7))

    def transaction(self, step: str = "step", *, saga_id: str = "saga-1", now_ms: int = NOW_MS) -> Transaction:
        """Return a fresh transaction, as each attempt at a step is given."""
        return Transaction(self.reader, saga_id=saga_id, key=f"{saga_id}.{step}", now_ms=now_ms)

    async def handle(
        self,
        handler: Callable[[E, Transaction], Awaitable[R]],
        event: E,
        *,
        saga_id: str = "saga-1",
        now_ms: int = NOW_MS,
    ) -> tuple[R, Outcome]:
        """Run a handler and commit; return what it said and what became of it."""
        tx = self.transaction(saga_id=saga_id, now_ms=now_ms)
        said = await handler(event, tx)
        return said, (await self.commit(tx))[0]

    async def commit(self, *transactions: Transaction) -> list[Outcome]:
        """Commit transactions in one call."""
        return (await self.transactor.commit(transactions)).outcomes
