"""A whole shop to be measured, started as users start it: ``sagastream dev``, in one process or in many."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from bench.load import fill_shelves
from bench.meter import Meter
from notification_service.app import outbox_path
from sagastream.offspring import dies_with_parent
from sagastream.ports import free_port
from sagastream.rundir import RunDir

ROOT = Path(__file__).parents[1]
ARRANGEMENTS = {"one": (), "procs": ("--procs",)}
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A directory for files in memory; None where there is none, which means the directory for temporary files."""
_PATIENCE_S = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Shop:
    """A running shop: the port for orders, and its data directory."""

    port: int
    redis_url: str
    run: RunDir

    def python_cpu_s(self) -> float:
        """Return the CPU time of all its processes so far, without the Redis server."""
        pids = {int(self.run.read(name) or 0) for name in self.run.names() if name != "redis"}
        return sum(_cpu_s(pid) for pid in pids if pid)


@contextmanager
def opened(arrangement: str, appendfsync: str) -> Iterator[Shop]:
    """Start a shop with full stock in a directory of its own, and end it.

    Its mails are kept in memory: for minutes after thousands of files were removed, ext4 creates new ones more slowly,
    so that one run would affect the next.

    Raises: ``TimeoutError`` if it does not start.
    """
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        tempfile.TemporaryDirectory(prefix="bench-", dir=MEMORY) as mails,
    ):
        outbox_path(Path(directory)).symlink_to(mails)
        environment = {name: text for name, text in os.environ.items() if name != "REDIS_URL"}
        environment |= {"DATA_DIR": directory, "PORT": str(port), "LOG_LEVEL": "ERROR", "PYTHONPATH": str(ROOT)}
        if appendfsync != "no":
            environment["APPENDFSYNC"] = appendfsync
        process = subprocess.Popen(
            [sys.executable, "-m", "sagastream.cli", "dev", *ARRANGEMENTS[arrangement]],
            cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, preexec_fn=dies_with_parent(),
        )  # fmt: skip
        try:
            until_ready(process, port)
            run = RunDir(Path(directory) / "run")
            shop = Shop(port, run.read("redis", "url") or "", run)
            asyncio.run(_prepare(shop, appendfsync))
            yield shop
        finally:
            process.terminate()
            process.wait(_PATIENCE_S)


def until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once a process reports over HTTP that it is ready.

    Raises: ``TimeoutError`` if it does not, or ends.
    """
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise TimeoutError(f"nothing was ready on port {port} within {_PATIENCE_S:g} s")


async def _prepare(shop: Shop, appendfsync: str) -> None:
    async with Meter(shop.redis_url) as meter:
        await meter.set_appendfsync(appendfsync)
    await fill_shelves(shop.redis_url)


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process, 0 once it is gone."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(told[11]) + int(told[12])) / _TICKS
