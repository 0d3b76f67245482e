"""A shop whose Redis is not there yet: nobody who asks it is kept waiting, and it goes on once it is."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from sagastream.embedded import EmbeddedServer
from sagastream.ports import free_port
from tests.processes.child import Child, environment
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]


async def test_who_asks_before_the_server_is_there_is_told_at_once_that_nobody_serves(tmp_path: Path) -> None:
    port, redis = free_port(), free_port()
    settings = environment(tmp_path, PORT=str(port), REDIS_URL=f"redis://127.0.0.1:{redis}/0")
    child = Child(["dev"], settings, tmp_path / "shop.log")
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=2) as client:

            async def waits() -> bool:
                assert child.is_running, child.said()
                return "server.unreachable" in child.said()

            async def is_ready() -> bool:
                assert child.is_running, child.said()
                try:
                    return (await client.get("/readyz")).is_success
                except httpx.ConnectError:
                    return False

            await until(waits, "the shop waits for its server", within_s=60)
            with pytest.raises(httpx.ConnectError):
                await client.get("/readyz")
            with EmbeddedServer(tmp_path / "server", port=redis):
                await until(is_ready, "the shop is ready", within_s=60)
                await child.end()
    finally:
        await child.end()
