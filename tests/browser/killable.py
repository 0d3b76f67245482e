"""A coordinator in a process of its own, at one address however often it is killed and started. Asserts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sagastream.ports import free_port
from tests.browser.stand import Stand, store
from tests.processes.child import Child, environment


class Coordinator:
    """The process, and the stand it serves."""

    def __init__(self, data_dir: Path, shop: Stand, port: int, redis_url: str) -> None:
        self.shop = shop
        self._data_dir = data_dir
        self._port = port
        self._redis_url = redis_url
        self.start()

    def start(self) -> None:
        """Start it; it listens a while later."""
        told = environment(self._data_dir, REDIS_URL=self._redis_url)
        self._child = Child(["coordinator", "--port", str(self._port)], told, self._data_dir / "coordinator.log")

    def kill(self) -> None:
        """Kill it as it is."""
        self._child.kill()

    async def end(self) -> None:
        """End it as a supervisor does."""
        await self._child.end()


@asynccontextmanager
async def coordinator(data_dir: Path) -> AsyncIterator[Coordinator]:
    """Run a coordinator around the block, beside a server of its own."""
    port = free_port()
    async with store(data_dir) as context:
        shop = Stand(f"http://localhost:{port}", context)
        process = Coordinator(data_dir, shop, port, context.settings.redis_url or "")
        try:
            yield process
        finally:
            await process.end()
