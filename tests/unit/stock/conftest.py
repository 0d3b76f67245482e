"""A store's shelf on the in-memory server, changed by the shipped script."""

from __future__ import annotations

import pytest

from stock_service import store
from stock_service.model import Level
from tests.unit.slot import Slot


class Warehouse(Slot):
    """The stock service's slot."""

    async def stock(self, *levels: Level) -> None:
        """Put levels on the shelf."""
        for level in levels:
            tx = self.transaction(saga_id="")
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
    return Warehouse("stock")
