"""Remove consumers that are gone for good, such as those of a service that now runs fewer processes. Speaks Redis.

Live consumers claim a dead one's pending entries long before. Deleting a consumer that still has pending entries would
lose them, so one script checks and deletes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import structlog

from sagastream.bus import Bus, Reply
from sagastream.errors import ReplyError
from sagastream.replies import listed, named
from sagastream.script import packaged

log = structlog.get_logger(__name__)


class Reaper:
    """Removes the consumers of one group after they were silent for ``silent``, at the latest a quarter longer."""

    def __init__(self, bus: Bus, streams: Sequence[str], group: str, *, silent: timedelta) -> None:
        self._reap = partial(reap, bus, streams, group, silent=silent)
        self._period_s = silent.total_seconds() / 4
        self._look_at: float | None = None

    async def reap(self) -> None:
        """Check the consumers if a quarter of ``silent`` has passed since the last time; never at the first call."""
        now = asyncio.get_running_loop().time()
        if self._look_at is not None and now >= self._look_at:
            await self._reap()
        if self._look_at is None or now >= self._look_at:
            self._look_at = now + self._period_s


async def reap(bus: Bus, streams: Sequence[str], group: str, *, silent: timedelta) -> int:
    """Remove a group's consumers that have no pending entries and were silent for ``silent``; return how many."""
    silent_ms = silent // timedelta(milliseconds=1)
    replies = await bus.query.pipeline([("XINFO", "CONSUMERS", stream, group) for stream in streams])
    gone = 0
    for stream, reply in zip(streams, replies, strict=True):
        if isinstance(reply, ReplyError):
            continue  # no such stream or group yet
        for name in _gone(reply, silent_ms):
            told = await packaged("reaping.lua").run(bus.writer, [stream], group, name, silent_ms)
            if told == 1:
                log.info("consumer.forgotten", stream=stream, group=group, consumer=name)
                gone += 1
    return gone


def _gone(reply: Reply, silent_ms: int) -> list[str]:
    told = map(named, listed(reply))
    return [each["name"] for each in told if each["pending"] == "0" and int(each["idle"]) >= silent_ms]
