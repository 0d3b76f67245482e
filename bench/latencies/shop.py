"""A whole shop to measure, with auditor and figures, on a server of its own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.latencies.spans import Streams
from bench.load import fill_shelves
from bench.shop import ARRANGEMENTS, MEMORY
from coordinator.order_saga import ORDER
from demo.shop import Shop, running_shop
from sagastream import Settings, connect
from sagastream.bus import Bus
from sagastream.embedded import EmbeddedServer
from sagastream.keys import COORDINATOR, Keys, index
from sagastream.saga.lifecycle import Status

TOKEN = "for-nobody-but-this-measurement"
_MOVING = tuple(status for status in Status if not status.is_end and status is not Status.NEEDS_ATTENTION)
_CALM_S = 90.0
_LOOK_S = 0.2


class NotCalm(Exception):
    """Sagas are still unfinished long after the last one was begun."""


@dataclass(frozen=True)
class Store:
    """A server with full stock on which a shop can be run."""

    url: str
    bus: Bus
    directory: Path
    arrangement: str

    @property
    def streams(self) -> Streams:
        """Return its streams."""
        return Streams(self.bus.query)

    @asynccontextmanager
    async def shop(self, pace: float, **settings: str) -> AsyncIterator[Shop]:
        """Run the shop around the block, with deadlines multiplied by ``pace``."""
        told = {"REDIS_URL": self.url, "ORDER_DEADLINE_PACE": str(pace), "OPERATOR_TOKEN": TOKEN, "BLOCK": "2"}
        told |= {"LOG_LEVEL": "WARNING", "LOG_FORMAT": "json", **settings}
        async with running_shop(self.directory, *ARRANGEMENTS[self.arrangement], **told) as shop:
            yield shop

    async def many(self, *statuses: Status) -> int:
        """Return how many orders' sagas are in any of these statuses."""
        keys = Keys(Settings().key_prefix, COORDINATOR)
        replies = await self.bus.query.pipeline(
            [("ZCARD", keys.key(index("status", status, ORDER.name))) for status in statuses]
        )
        return sum(reply for reply in replies if isinstance(reply, int))

    async def calm(self) -> None:
        """Wait until no saga is unfinished, except those that need a person.

        Raises: ``NotCalm``.
        """
        until = asyncio.get_running_loop().time() + _CALM_S
        while moving := await self.many(*_MOVING):
            if asyncio.get_running_loop().time() > until:
                raise NotCalm(f"{moving} sagas are still under way after {_CALM_S:g} s")
            await asyncio.sleep(_LOOK_S)


@asynccontextmanager
async def opened(
    fill: Callable[[str], Awaitable[None]] = fill_shelves, *, arrangement: str = "procs"
) -> AsyncIterator[Store]:
    """Start a server and fill the stock; ``arrangement`` is that of the shops run on it.

    Files of the shops, mails above all, are kept in memory, as in ``bench.shop``.
    """
    with (
        tempfile.TemporaryDirectory(prefix="latencies-") as kept,
        tempfile.TemporaryDirectory(prefix="latencies-", dir=MEMORY) as directory,
        EmbeddedServer(Path(kept)) as server,
    ):
        settings = Settings(redis_url=server.url)
        bus = connect(server.url, name="latencies", block=settings.block)
        try:
            await fill(server.url)
            yield Store(server.url, bus, Path(directory), arrangement)
        finally:
            await bus.close()
