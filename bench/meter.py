"""What is read off the server: its CPU time and how many sagas have ended. Reads; judges nothing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Self

from coordinator.order_saga import ORDER
from sagastream import Settings, connect
from sagastream.keys import COORDINATOR, Keys, index
from sagastream.saga.lifecycle import Status

ENDS = tuple(status for status in Status if status.is_end)
_PAUSE_S = 0.01
_LOOKS = 1000  # at keys, by one command


@dataclass(frozen=True, slots=True)
class Ended:
    """How many sagas ended in which way, and after how many seconds the last one did."""

    seconds: float
    by_status: dict[Status, int]

    @property
    def sagas(self) -> int:
        """Return how many ended at all."""
        return sum(self.by_status.values())


class Meter:
    """A connection of its own to the server that is measured."""

    def __init__(self, url: str) -> None:
        settings = Settings(redis_url=url)
        self._keys = Keys(settings.key_prefix, COORDINATOR)
        self._bus = connect(url, name="bench-meter", block=settings.block)

    async def __aenter__(self) -> Self:
        """Return itself; the first question connects."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await self._bus.close()

    async def server_cpu_s(self) -> float:
        """Return the CPU time of the whole server process so far, forcing to disk included."""
        told = _info(str(await self._bus.query.execute("INFO", "cpu")))
        return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])

    async def server_version(self) -> str:
        """Return the server's name and version."""
        told = _info(str(await self._bus.query.execute("INFO", "server")))
        if "valkey_version" in told:
            return f"valkey {told['valkey_version']}"
        return f"redis {told['redis_version']}"

    async def set_appendfsync(self, policy: str) -> None:
        """Change when the server forces its log to disk."""
        await self.set("appendfsync", policy)

    async def bytes_used(self) -> int:
        """Return how much memory the server's data take."""
        return int(_info(str(await self._bus.query.execute("INFO", "memory")))["used_memory"])

    async def bytes_of(self, *names: str) -> int:
        """Return how much memory the keys of these names below the coordinator's root take, each read to its end."""
        keys = (("MEMORY", "USAGE", self._keys.key(name), "SAMPLES", 0) for name in names)
        return sum(int(str(size)) for size in await self._bus.query.pipeline(list(keys)) if size)

    async def empty(self, *names: str) -> None:
        """Take everything out of the coordinator's streams of these names."""
        await self._bus.query.pipeline([("XTRIM", self._keys.key(name), "MAXLEN", 0) for name in names])

    async def end_rehashing(self) -> None:
        """Bring a table of keys that has lately doubled to its end: each look at one moves a part of it."""
        keys = int(str(await self._bus.query.execute("DBSIZE")))
        for at in range(0, keys, _LOOKS):
            looks = range(at, min(at + _LOOKS, keys))
            await self._bus.query.execute("EXISTS", *(self._keys.key(f"no-such-key:{look}") for look in looks))

    async def set(self, option: str, value: str) -> None:
        """Change an option of the server."""
        await self._bus.query.execute("CONFIG", "SET", option, value)

    async def until_ended(self, sagas: int, *, within_s: float) -> Ended:
        """Wait until so many sagas have ended, or the time is up."""
        began = time.perf_counter()
        while True:
            replies = await self._bus.query.pipeline(
                [("ZCARD", self._keys.key(index("status", status, ORDER.name))) for status in ENDS]
            )
            ended = Ended(
                time.perf_counter() - began,
                {status: int(str(count)) for status, count in zip(ENDS, replies, strict=True) if count},
            )
            if ended.sagas >= sagas or ended.seconds > within_s:
                return ended
            await asyncio.sleep(_PAUSE_S)


def _info(text: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
