"""Reading the books beside a shop that goes on."""

from __future__ import annotations

from books.pages import members
from sagastream.audit import Scene
from sagastream.settings import Settings
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from tests.unit.core.world import in_virtual_time


@in_virtual_time
async def test_reading_ends_although_more_is_placed_meanwhile_than_is_read() -> None:
    """What came later is read the next time."""
    connection, placed = MemoryConnection(MemoryServer(lambda: 1_700_000_000_000)), 0

    async def place() -> None:
        nonlocal placed
        for _ in range(20):
            placed += 1
            assert placed < 10_000, "it would never end"
            await connection.execute("ZADD", "saga:{order}:orders", placed, f"order-{placed:05}")

    scene = Scene(connection, Settings(), (), page=10, pause=place)
    await place()
    await place()

    read = [each async for page in members(scene, "order", "orders") for each in page]

    assert read == [f"order-{number:05}" for number in range(1, 41)]
    assert placed > 100
