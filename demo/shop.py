"""The demo's shop: one process and its embedded server, started, used as customers use it, and ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from events import OrderCreated
from sagastream.bus import Bus, connect
from sagastream.envelope import flattened
from sagastream.keys import Keys
from sagastream.offspring import dies_with_parent
from sagastream.ports import free_port
from sagastream.replies import entries, listed, named
from sagastream.rundir import RunDir

ROOT = Path(__file__).parents[1]
PREFIX = "saga:"
PACE = 0.05  # factor on the deadlines: a charge may take 3 s instead of 60
_SETTINGS = {
    "ORDER_DEADLINE_PACE": str(PACE),
    "PAYMENT_TIMEOUT": "1",
    "PROVIDER_SILENCE": "2",
    "PROVIDER_SLOW": "6",
    "BLOCK": "0.1",
    "RESTART": "0",
}
# No other variable of the environment reaches the shop: a real SMTP server must not get its mails.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "REDIS_SERVER")
_START_WITHIN = timedelta(seconds=60)
_READ_WITHIN = timedelta(seconds=5)


class ShopTrouble(Exception):
    """The shop did not behave as it should; the message says how, with the end of its log."""


@dataclass(frozen=True)
class Placed:
    """An order that was accepted, and its saga."""

    order_id: str
    saga_id: str


@dataclass(frozen=True)
class Shop:
    """A running shop: its routes, its server, and its data directory."""

    url: str
    http: httpx.AsyncClient
    bus: Bus
    data_dir: Path

    async def place(self, body: Mapping[str, object]) -> Placed:
        """Place an order.

        Raises: ``ShopTrouble``.
        """
        answer = await self.http.post("/api/orders/choreographed-saga", json=body)
        if answer.status_code != 202:
            raise ShopTrouble(f"the order was answered {answer.status_code}: {answer.text}")
        return Placed(answer.json()["orderId"], answer.json()["sagaId"])

    async def cancel(self, placed: Placed) -> None:
        """Cancel an order.

        Raises: ``ShopTrouble``.
        """
        answer = await self.http.post(f"/api/orders/{placed.order_id}/cancel", json={"reason": "changed my mind"})
        if answer.status_code != 202:
            raise ShopTrouble(f"the cancellation was answered {answer.status_code}: {answer.text}")

    async def deliver_again(self, placed: Placed) -> None:
        """Append the event that began an order's saga to its stream again, unchanged, and wait until all have read it.

        Raises: ``ShopTrouble``.
        """
        stream = Keys(PREFIX, OrderCreated.by).events(OrderCreated.type_name())
        for _, fields in entries(await self.bus.query.execute("XREVRANGE", stream, "+", "-", "COUNT", 100)):
            if fields["correlationid"] == placed.saga_id:
                await self.bus.writer.execute("XADD", stream, "*", *flattened(fields))
                return await self._read_by_all(stream)
        raise ShopTrouble(f"there is no {OrderCreated.type_name()} of saga {placed.saga_id}")

    async def _read_by_all(self, stream: str) -> None:
        until = asyncio.get_running_loop().time() + _READ_WITHIN.total_seconds()
        while asyncio.get_running_loop().time() < until:
            groups = list(map(named, listed(await self.bus.query.execute("XINFO", "GROUPS", stream))))
            if groups and all(group["lag"] == group["pending"] == "0" for group in groups):
                return
            await asyncio.sleep(0.02)
        raise ShopTrouble(f"{stream} was not read within {_READ_WITHIN.total_seconds():g} s")


@asynccontextmanager
async def running_shop(data_dir: Path, *flags: str, **settings: str) -> AsyncIterator[Shop]:
    """Run the shop around the block; ``settings`` override the demo's, ``flags`` are for `sagastream dev`.

    Raises: ``ShopTrouble`` if it does not start.
    """
    log = data_dir / "shop.log"
    port = free_port()
    process = _start(data_dir, port, log, flags, settings)
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as http:
            await _ready(http, process, log)
            redis_url = settings.get("REDIS_URL") or RunDir(data_dir / "run").read("redis", "url")
            if redis_url is None:
                raise ShopTrouble(_with_end_of(log, "the shop does not say where its server is"))
            bus = connect(redis_url, name="demo", block=timedelta(seconds=1))
            try:
                yield Shop(url, http, bus, data_dir)
            finally:
                await bus.close()
    finally:
        _end(process)


def _start(
    data_dir: Path, port: int, log: Path, flags: Sequence[str], settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    told = {**kept, **_SETTINGS, **settings, "PYTHONPATH": str(ROOT), "DATA_DIR": str(data_dir), "PORT": str(port)}
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "sagastream.cli", "dev", *flags],
            cwd=ROOT,
            env=told,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only the demo, which then ends the shop
            preexec_fn=dies_with_parent(),
        )


async def _ready(http: httpx.AsyncClient, process: subprocess.Popen[bytes], log: Path) -> None:
    until = asyncio.get_running_loop().time() + _START_WITHIN.total_seconds()
    while asyncio.get_running_loop().time() < until:
        if process.poll() is not None:
            raise ShopTrouble(_with_end_of(log, "the shop ended while it was starting"))
        try:
            if (await http.get("/readyz")).is_success:
                return
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.05)
    raise ShopTrouble(_with_end_of(log, f"the shop was not ready within {_START_WITHIN.total_seconds():g} s"))


def _with_end_of(log: Path, what: str) -> str:
    # Without the traceback's source lines: to see those, keep the log with DATA_DIR.
    said = log.read_text(errors="replace").splitlines()
    lines = [line for line in said if line and not line.startswith(" ") and "Traceback" not in line]
    return "\n".join([f"{what}; its log ends:", *(f"  {line}" for line in lines[-5:])])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
