"""Where it happens: a server that forces everything to disk, the wire, and every process of the shop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from coordinator.order_saga import ORDER
from notification_service.handlers import notification
from order_service.handlers import order
from payment_service.handlers import payment
from sagastream.bus import Argument, Bus, Command, Reply, connect
from sagastream.coordinator.meaning import Meanings
from sagastream.embedded import EmbeddedServer
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.keys import COORDINATOR as SAGA
from sagastream.keys import Keys
from sagastream.participation import subscriptions
from sagastream.ports import free_port
from sagastream.replies import listed, named
from stock_service.handlers import stock
from tests.chaos.storm import Storm
from tests.processes.crew import ALL, COORDINATOR, PROVIDER, Crew
from tests.processes.shop import PREFIX
from tests.processes.until import until

T = TypeVar("T")
COORDINATORS = (COORDINATOR, "coordinator/2")
SECOND = ("order-service/2", "payment-service/2", "coordinator/2")
CAST = (*ALL, *SECOND)
GROUPS = {"order-service": "order", "stock-service": "stock", "payment-service": "payment",
          "notification-service": "notification", "coordinator": SAGA}  # fmt: skip
CLAIM_IDLE_S = 1.5
PACE = 0.5  # of the deadlines: 15 s to reserve, 30 s to charge, 150 s for the whole
PAYMENT_TIMEOUT_S, SLOW_S, SILENCE_S = 1.0, 1.4, 3.0
SETTINGS = {
    "ORDER_DEADLINE_PACE": str(PACE),
    "CLAIM_IDLE": str(CLAIM_IDLE_S),
    "PAYMENT_TIMEOUT": str(PAYMENT_TIMEOUT_S),
    "PROVIDER_SLOW": str(SLOW_S),
    "PROVIDER_SILENCE": str(SILENCE_S),
}
_SERVER_BACK_S = 60.0
_WORKS_S = 240.0  # ten processes that start at once, on two cores and beside whatever else


@dataclass(frozen=True)
class Scene:
    """Everything a fault can strike. ``bus`` reaches the server past the storm."""

    server: EmbeddedServer
    storm: Storm
    crew: Crew
    bus: Bus
    data_dir: Path

    async def insist(self, *command: Argument) -> Reply:
        """Send a command until the server answers it; one that changes something may be done twice.

        Raises: ``AssertionError`` if the server does not come back.
        """
        return await self._insisted(lambda: self.bus.query.execute(*command))

    async def insist_all(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        """Send several commands until the server answers them."""
        return await self._insisted(lambda: self.bus.query.pipeline(commands))

    async def info(self, section: str) -> dict[str, str]:
        """Return a section of what the server says of itself."""
        told = str(await self.insist("INFO", section))
        return dict(line.partition(":")[::2] for line in told.splitlines() if ":" in line)

    async def refusals(self, code: str) -> int:
        """Return how often the server has refused something with this code since it was started."""
        told = (await self.info("errorstats")).get(f"errorstat_{code}", "count=0")
        return int(told.partition("=")[2])

    async def group(self, stream: str, name: str) -> dict[str, str]:
        """Return how far a group has read a stream, nothing if there is no such group."""
        (reply,) = await self.insist_all([("XINFO", "GROUPS", stream)])
        return next((group for group in map(named, listed(reply)) if group["name"] == name), {})

    async def _insisted(self, ask: Callable[[], Awaitable[T]]) -> T:
        async def safely() -> tuple[T] | None:
            try:
                return (await ask(),)
            except ServerUnavailable:
                return None

        return (await until(safely, "the server answers", _SERVER_BACK_S, every_s=0.1))[0]


def consumer_of(name: str) -> tuple[str, str] | None:
    """Return group and consumer of a process, None for one that reads no stream."""
    service, _, number = name.partition("/")
    group = GROUPS.get(service)
    return (group, f"{group}-{number}") if group is not None else None


def streams_of(group: str) -> list[str]:
    """Return the streams a group reads."""
    keys = Keys(PREFIX, group)
    if group == SAGA:
        return list(Meanings([ORDER]).streams(keys))
    return subscriptions({each.name: each for each in (order, stock, payment, notification)}[group], keys)


def now_ms() -> int:
    """Return this machine's time, which is also the server's."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def played(data_dir: Path) -> AsyncIterator[Scene]:
    """Start everything around the block; at its end every process is waited for."""
    with EmbeddedServer(data_dir, appendfsync="always") as server:
        async with Storm(server.port) as storm:
            ports = {name: free_port() for name in CAST}
            told = {**SETTINGS, "PAYMENT_PROVIDER_URL": f"http://127.0.0.1:{ports[PROVIDER]}"}
            async with Crew(ports, storm, data_dir, told, works_within_s=_WORKS_S) as crew:
                bus = connect(server.url, name="chaos", block=timedelta(0))
                try:
                    await crew.start(*CAST)
                    yield Scene(server, storm, crew, bus, data_dir)
                finally:
                    storm.squall, storm.delay_s = None, 0.0
                    await asyncio.shield(crew.end_all())
                    await bus.close()
