"""The shop as `sagastream dev` runs it, in one process or in many, with a data directory and port of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from sagastream.ports import free_port
from sagastream.rundir import RunDir, command_line
from tests.processes.child import Child, environment, left_behind
from tests.processes.shop import Shop
from tests.processes.until import until


class DevShop(Shop):
    """A shop whose workers are found by their pid files."""

    def __init__(self, base_url: str, data_dir: Path, child: Child) -> None:
        self.run = RunDir(data_dir / "run")
        redis_url = self.run.read("redis", "url")
        assert redis_url is not None, child.said()
        super().__init__(base_url, redis_url, data_dir)

    def pid(self, name: str) -> int:
        """Return the recorded pid of a process that is alive and belongs to this shop, 0 if there is none."""
        pid = int(self.run.read(name) or 0)
        return pid if pid and str(self.data_dir) in command_line(pid) else 0

    async def kill(self, name: str) -> None:
        """Kill a process of the shop as soon as it is there."""

        async def ask() -> int:
            return self.pid(name)

        os.kill(await until(ask, f"{name} runs"), signal.SIGKILL)

    async def works(self, name: str) -> bool:
        """Tell whether a process of the shop does its work."""
        if name == "redis":
            return bool(self.pid(name))
        if name == "payment-provider":
            return bool(self.pid(name)) and await self._works("/services/payment-service/readyz")
        return bool(self.pid(name)) and await self._works("/readyz" if name == "front" else f"/services/{name}/readyz")

    async def _works(self, path: str) -> bool:
        try:
            return (await self.http.get(path, timeout=5)).is_success
        except httpx.HTTPError:
            return False


@asynccontextmanager
async def dev_shop(data_dir: Path, *flags: str, **settings: str) -> AsyncIterator[DevShop]:
    """Run the shop around the block, and make sure that nothing of it is left behind."""
    port = free_port()
    log = data_dir / "shop.log"
    child = Child(["dev", *flags], environment(data_dir, PORT=str(port), **settings), log)
    try:
        base_url = f"http://127.0.0.1:{port}"
        await ready(base_url, child, "the shop")
        async with DevShop(base_url, data_dir, child) as shop:
            yield shop
    finally:
        await child.end()
        assert left_behind(data_dir) == []


async def ready(base_url: str, child: Child, what: str) -> None:
    """Wait until what a process serves is ready."""
    async with httpx.AsyncClient(base_url=base_url, trust_env=False) as client:

        async def ask() -> bool:
            assert child.is_running, child.said()
            try:
                return (await client.get("/readyz", timeout=5)).is_success
            except httpx.HTTPError:
                return False

        await until(ask, f"{what} is ready", within_s=60)
