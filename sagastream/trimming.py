"""Trim the streams of one owner: behind the slowest group, never by length. Speaks Redis; decides by entry ids.

An entry is removed once every group that ever read the stream has acknowledged it and ``STREAM_RETENTION`` has passed.
If a group seen before is missing, nothing is removed: the group may come back and begin again. Streams that no group
reads keep entries for ``UNREAD_RETENTION``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

import structlog

from sagastream.bus import Bus, Reply
from sagastream.clock import server_ms
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.keys import STREAMS, Keys
from sagastream.replies import EntryId, entry_id, listed, named, sound
from sagastream.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long entries stay: those that all groups have read, and those on streams without a group."""

    read: timedelta
    unread: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Keeping:
        """Return the retentions of the settings."""
        return cls(settings.stream_retention, settings.unread_retention)


class Trimming:
    """Trims an owner's streams; any number of processes may trim the same ones.

    Shape: hash ``streams`` under the owner's root; field: the stream's name; value: the groups ever seen on it.
    """

    def __init__(self, bus: Bus, keys: Keys, streams: Iterable[str], keeping: Keeping) -> None:
        self._bus = bus
        self._keys = keys
        self._declared = tuple(dict.fromkeys(streams))
        self._keeping = keeping

    async def trim(self) -> int:
        """Trim every stream of the owner once; return how many entries were removed.

        This works on a server out of memory too: if it refuses to register streams and groups, they are registered next
        time, and entries that those groups have not read yet are kept all the same.
        """
        known = await self._known()
        now_ms = await server_ms(self._bus.query)
        groups = await self._groups(list(known))
        whole: dict[str, list[dict[str, str]]] = {}
        fresh: list[str] = []
        for name, found in groups.items():
            here = {group["name"] for group in found}
            if not here <= known[name]:
                fresh += (name, " ".join(sorted(here | known[name])))
            if missing := known[name] - here:
                log.error("stream.not_trimmed", stream=self._keys.key(name), missing_groups=sorted(missing))
            else:
                whole[name] = found
        if fresh:
            with suppress(ServerUnavailable):
                await self._bus.writer.execute("HSET", self._keys.key(STREAMS), *fresh)
        trims = [
            ("XTRIM", self._keys.key(name), "MINID", "~", f"{ms}-{seq}")
            for name, (ms, seq) in (await self._first_kept(whole, now_ms)).items()
            if ms > 0
        ]
        return sum(int(str(sound(reply))) for reply in await self._bus.writer.pipeline(trims))

    async def _known(self) -> dict[str, set[str]]:
        """Return the groups ever seen on each known stream, including streams declared but never used."""
        registry = self._keys.key(STREAMS)
        told = named(await self._bus.query.execute("HGETALL", registry))
        new = [name for name in self._declared if name not in told]
        with suppress(ServerUnavailable):
            await self._bus.writer.pipeline([("HSETNX", registry, name, "") for name in new])
        return {name: set(seen.split()) for name, seen in (dict.fromkeys(new, "") | told).items()}

    async def _groups(self, names: Sequence[str]) -> dict[str, list[dict[str, str]]]:
        """Return the groups of each stream that exists."""
        replies = await self._bus.query.pipeline([("XINFO", "GROUPS", self._keys.key(name)) for name in names])
        told = dict(zip(names, replies, strict=True))
        return {name: list(map(named, listed(reply)))
                for name, reply in told.items() if not isinstance(reply, ReplyError)}  # fmt: skip

    async def _first_kept(self, groups: Mapping[str, list[dict[str, str]]], now_ms: int) -> dict[str, EntryId]:
        """Return the first entry to keep on each stream; reads pending entries, which must be after ``groups``."""
        of = [(name, group["name"]) for name, found in groups.items() for group in found]
        replies = await self._bus.query.pipeline([("XPENDING", self._keys.key(name), group) for name, group in of])
        pending = iter([sound(reply) for reply in replies])
        found: dict[str, EntryId] = {}
        for name, those in groups.items():
            until = settled_until(those, list(islice(pending, len(those))))
            kept = self._keeping.unread if until is None else self._keeping.read
            horizon = (now_ms - kept // timedelta(milliseconds=1), 0)
            found[name] = horizon if until is None else min(until, horizon)
        return found


def settled_until(groups: Sequence[dict[str, str]], pending: Sequence[Reply]) -> EntryId | None:
    """Return the first entry that some group has not settled, None if there is no group at all.

    ``groups`` is the reply of ``XINFO GROUPS``, ``pending`` the summary of ``XPENDING`` for each group.
    """
    found: list[EntryId] = []
    for group, summary in zip(groups, pending, strict=True):
        oldest = listed(summary)[1] if listed(summary) else None
        ms, seq = entry_id(group["last-delivered-id"])
        found.append((ms, seq + 1) if oldest is None else min(entry_id(oldest), (ms, seq + 1)))
    return min(found, default=None)
