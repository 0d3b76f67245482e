"""Trims the streams of one owner: behind whoever reads slowest, and never by length. Speaks Redis; decides by ids.

An entry goes once every group that ever read the stream has read and acknowledged it and it has been kept for a
while. Where a group that was seen before is missing, nothing goes: it may come back and begin again. Streams that
nobody reads are kept for a time of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from sagastream.bus import Bus, Reply
from sagastream.clock import server_ms
from sagastream.envelope import pairs
from sagastream.errors import ReplyError
from sagastream.keys import STREAMS, Keys
from sagastream.settings import Settings

log = structlog.get_logger(__name__)

EntryId = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long entries stay: those that all have read, and those on streams that nobody reads."""

    read: timedelta
    unread: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Keeping:
        """Return what the settings say."""
        return cls(settings.stream_retention, settings.unread_retention)


class Trimming:
    """The owner's broom; any number of processes may sweep the same streams.

    Shape: hash ``streams`` under the owner's root, field: the stream's name, value: the groups ever seen on it.
    """

    def __init__(self, bus: Bus, keys: Keys, streams: Iterable[str], keeping: Keeping) -> None:
        self._bus = bus
        self._keys = keys
        self._declared = tuple(dict.fromkeys(streams))
        self._keeping = keeping

    async def trim(self) -> int:
        """Trim every stream of the owner once; return how many entries went."""
        registry = self._keys.key(STREAMS)
        if self._declared:
            await self._bus.writer.pipeline([("HSETNX", registry, name, "") for name in self._declared])
        known = pairs([str(value) for value in _list(await self._bus.query.execute("HGETALL", registry))])
        now_ms = await server_ms(self._bus.query)
        gone = 0
        for name, seen in known.items():
            gone += await self._trim(name, set(seen.split()), now_ms)
        return gone

    async def _trim(self, name: str, seen: set[str], now_ms: int) -> int:
        stream = self._keys.key(name)
        try:
            groups = [_named(group) for group in _list(await self._bus.query.execute("XINFO", "GROUPS", stream))]
        except ReplyError:
            return 0  # nothing was ever published on it
        here = {group["name"] for group in groups}
        if not here <= seen:
            await self._bus.writer.execute("HSET", self._keys.key(STREAMS), name, " ".join(sorted(here | seen)))
        if missing := seen - here:
            log.error("stream.not_trimmed", stream=stream, missing_groups=sorted(missing))
            return 0
        pending = await self._bus.query.pipeline([("XPENDING", stream, group["name"]) for group in groups])
        until = settled_until(groups, [_sound(reply) for reply in pending])
        kept = self._keeping.unread if until is None else self._keeping.read
        horizon = (now_ms - kept // timedelta(milliseconds=1), 0)
        first_kept = horizon if until is None else min(until, horizon)
        if first_kept[0] <= 0:
            return 0
        gone = await self._bus.writer.execute("XTRIM", stream, "MINID", "~", f"{first_kept[0]}-{first_kept[1]}")
        return int(str(gone))


def settled_until(groups: Sequence[dict[str, str]], pending: Sequence[Reply]) -> EntryId | None:
    """Return the first entry that some group has not settled; None if there is no group at all.

    ``groups`` as told by ``XINFO GROUPS``, ``pending`` the summary of ``XPENDING`` for each.
    """
    found: list[EntryId] = []
    for group, summary in zip(groups, pending, strict=True):
        oldest = _list(summary)[1] if _list(summary) else None
        ms, seq = _entry_id(group["last-delivered-id"])
        found.append((ms, seq + 1) if oldest is None else min(_entry_id(str(oldest)), (ms, seq + 1)))
    return min(found, default=None)


def _entry_id(text: str) -> EntryId:
    ms, _, seq = text.partition("-")
    return int(ms), int(seq or 0)


def _named(reply: Reply) -> dict[str, str]:
    return pairs([str(value) for value in _list(reply)])


def _sound(reply: Reply | ReplyError) -> Reply:
    if isinstance(reply, ReplyError):
        raise reply
    return reply


def _list(reply: Reply) -> list[Reply]:
    return reply if isinstance(reply, list) else []
