"""Readings from the server: its CPU time and the number of ended sagas. Reads; judges nothing."""

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
_LOOKS = 1000  # keys inspected by one command


@dataclass(frozen=True, slots=True)
class Ended:
    """The number of ended sagas by status, and the seconds until the last one ended."""

    seconds: float
    by_status: dict[Status, int]

    @property
    def sagas(self) -> int:
        """Return the number of all ended sagas."""
        return sum(self.by_status.values())


class Meter:
    """A separate connection to the measured server."""

    def __init__(self, url: str) -> None:
        settings = Settings(redis_url=url)
        self._keys = Keys(settings.key_prefix, COORDINATOR)
        self._bus = connect(url, name="bench-meter", block=settings.block)

    async def __aenter__(self) -> Self:
        """Return itself; the first command connects."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await self._bus.close()

    async def server_cpu_s(self) -> float:
        """Return the CPU time of the whole server process so far, including syncs to disk."""
        told = _info(str(await self._bus.query.execute("INFO", "cpu")))
        return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])

    async def server_version(self) -> str:
        """Return the server's name and version."""
        told = _info(str(await self._bus.query.execute("INFO", "server")))
        if "valkey_version" in told:
            return f"valkey {told['valkey_version']}"
        return f"redis {told['redis_version']}"

    async def set_appendfsync(self, policy: str) -> None:
        """Change when the server syncs its log to disk."""
        await self.set("appendfsync", policy)

    async def bytes_used(self) -> int:
        """Return the memory used by the server's data."""
        return int(_info(str(await self._bus.query.execute("INFO", "memory")))["used_memory"])

    async def bytes_of(self, *names: str) -> int:
        """Return the memory of the keys of these names below the coordinator's root, each measured in full."""
        keys = (("MEMORY", "USAGE", self._keys.key(name), "SAMPLES", 0) for name in names)
        return sum(int(str(size)) for size in await self._bus.query.pipeline(list(keys)) if size)

    async def empty(self, *names: str) -> None:
        """Remove all entries from the coordinator's streams of these names."""
        await self._bus.query.pipeline([("XTRIM", self._keys.key(name), "MAXLEN", 0) for name in names])

    async def end_rehashing(self) -> None:
        """Finish a key table's incremental rehashing after it has doubled: each look-up moves a part of it."""
        keys = int(str(await self._bus.query.execute("DBSIZE")))
        for at in range(0, keys, _LOOKS):
            looks = range(at, min(at + _LOOKS, keys))
            await self._bus.query.execute("EXISTS", *(self._keys.key(f"no-such-key:{look}") for look in looks))

    async def set(self, option: str, value: str) -> None:
        """Change an option of the server."""
        await self._bus.query.execute("CONFIG", "SET", option, value)

    async def until_ended(self, sagas: int, *, within_s: float) -> Ended:
        """Wait until this many sagas have ended, or the time is up."""
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
