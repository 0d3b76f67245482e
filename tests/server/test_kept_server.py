"""The server beside the shop is started again whenever it ends, whatever stands in the way of starting it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sagastream.dev import kept_alive
from sagastream.embedded import EmbeddedServer, ping
from sagastream.rundir import RunDir
from tests.processes.until import until

pytestmark = pytest.mark.server


async def so(claim: Callable[[], bool], what: str) -> None:
    """Wait until a claim holds."""

    async def ask() -> bool:
        return claim()

    await until(ask, what)


async def test_a_server_that_could_not_be_started_for_want_of_room_is_started_once_there_is_some(
    tmp_path: Path,
) -> None:
    run = RunDir(tmp_path / "run")
    in_the_way = run.path / ".redis.pid.new"  # as where the disk is full, its pid cannot be written
    with EmbeddedServer(tmp_path) as server, capture_logs() as lines:
        async with kept_alive(server, asyncio.Event(), restart=True):
            in_the_way.mkdir()
            os.kill(server.pid, signal.SIGKILL)
            await so(lambda: any(line["event"] == "server.not_ready" for line in lines), "the failed start is told")
            in_the_way.rmdir()
            await so(lambda: ping(server.port).startswith(b"+PONG"), "it answers")
            await so(lambda: run.read("redis") == str(server.pid), "its pid is written")

            again = server.pid
            os.kill(again, signal.SIGKILL)
            await so(lambda: server.pid not in (0, again), "it is still kept alive")


async def test_a_server_that_ends_again_and_again_is_given_time(tmp_path: Path) -> None:
    """With appendfsync always it ends at each write to a full disk; each start reads the whole log."""
    loop = asyncio.get_running_loop()
    with EmbeddedServer(tmp_path) as server, capture_logs() as lines:

        def restarted() -> int:
            return sum(line["event"] == "server.restarted" for line in lines)

        async with kept_alive(server, asyncio.Event(), restart=True):
            began = loop.time()
            for times in (1, 2, 3):
                os.kill(server.pid, signal.SIGKILL)
                await so(lambda times=times: restarted() == times, "it is started again")  # type: ignore[misc]
            took_s = loop.time() - began

    assert took_s >= 0.5 + 1.0  # at once, then ever later
