"""Sagas page by page, newest first, by any filter. Reads indexes and records; changes nothing.

A page continues strictly after the last saga it looked at, by start and id, so sagas that begin meanwhile never
move what follows. The work per page is bounded: where a filter matches little, a page may be short, or empty, and
still name a cursor.
"""

from __future__ import annotations

import asyncio
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass

from sagastream import keys as names
from sagastream.bus import Reply
from sagastream.coordinator.records import Record, Records
from sagastream.saga.lifecycle import Status

MOST_SCANNED = 2000
_CHUNK = 250
_READS = 5  # of a saga that goes on faster than it is read; then its last record stands with the history before it
_CURSOR = re.compile(r"(-?\d{1,16})\.([A-Za-z0-9_-]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A saga's place in every index: when it started (epoch ms), and its id."""

    start_ms: int
    saga_id: str

    def cursor(self) -> str:
        """Return the position as clients carry it: opaque, and safe in a URL."""
        return urlsafe_b64encode(f"{self.start_ms}.{self.saga_id}".encode()).decode().rstrip("=")

    @classmethod
    def of(cls, cursor: str) -> Position:
        """Return the position of a cursor.

        Raises: ``ValueError`` for text that never was one.
        """
        try:
            told = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        except ValueError:
            told = ""
        match = _CURSOR.fullmatch(told)
        if match is None:
            raise ValueError("this is no cursor; use the 'next' of the page before, unchanged")
        return cls(int(match[1]), match[2])


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sagas are wanted; None is any. Instants are epoch ms, both included."""

    status: Status | None = None
    process: str | None = None
    initiator: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def indexes(self) -> list[str]:
        """Return the indexes that hold every wanted saga."""
        found = []
        if self.status is not None:
            found.append(names.index("status", self.status))
        if self.process is not None:
            found.append(names.index("process", self.process))
        if self.initiator is not None:
            found.append(names.index("initiator", self.initiator))
        return found or [names.index("all")]

    def fits(self, record: Record) -> bool:
        """Tell whether a record is wanted, its start aside."""
        return self.matches(record.status, record.progress.definition, record.progress.initiator)

    @property
    def is_answered_by_index(self) -> bool:
        """Tell whether one index holds the wanted sagas and no others."""
        return len(self.indexes()) == 1

    def matches(self, status: str | None, process: str | None, initiator: str | None) -> bool:
        """Tell whether a record with these fields is wanted, its start aside."""
        pairs = ((self.status, status), (self.process, process), (self.initiator, initiator))
        return status is not None and all(wanted is None or wanted == found for wanted, found in pairs)


@dataclass(frozen=True, slots=True)
class Stored:
    """A record, and when its saga ended (epoch ms)."""

    record: Record
    ended_ms: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some sagas, and where to go on; None at the end."""

    sagas: tuple[Stored, ...]
    next: Position | None


class Listing:
    """Looks sagas up."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._reader = records.reader

    async def find(self, saga_id: str) -> Stored | None:
        """Return one saga, None if nothing is known of it."""
        record, (ended,) = await asyncio.gather(
            self._records.load(saga_id), self._reader.read(names.record(saga_id), "ended_ms")
        )
        return Stored(record, int(ended) if ended is not None else None) if record else None

    async def whole(self, saga_id: str, most: int) -> tuple[Stored, list[str]] | None:
        """Return one saga with the latest notes of its history, both of one instant; None if nothing is known of it.

        A commit between the two reads would show an end that the status does not know of: they are read again.
        """
        stored = await self.find(saga_id)
        history: list[str] = []
        for _ in range(_READS):
            if stored is None:
                return None
            history = await self.history(saga_id, most)
            known, stored = stored, await self.find(saga_id)
            if stored is not None and stored.record.version == known.record.version:
                break
        return None if stored is None else (stored, history)

    async def history(self, saga_id: str, most: int) -> list[str]:
        """Return the latest notes of a saga's history as stored, oldest first."""
        reply = await self._reader.command("LRANGE", self._key(names.history(saga_id)), -most, -1)
        return [str(note) for note in _list(reply)]

    async def page(self, wanted: Filter, after: Position | None, limit: int) -> Page:
        """Return the wanted sagas that follow a position."""
        index = await self._most_selective(wanted)
        found: list[Position] = []
        scanned, at, is_more = 0, after, True
        while is_more and scanned < MOST_SCANNED and len(found) <= limit:
            # The one before the first is read again: it is where the page before ended.
            count = limit + 2 if wanted.is_answered_by_index else _CHUNK
            chunk, is_more = await self._walk(index, wanted, at, count)
            scanned += len(chunk)
            found += chunk if wanted.is_answered_by_index else await self._matching(chunk, wanted)
            at = chunk[-1] if chunk else at
        stored = await asyncio.gather(*(self.find(position.saga_id) for position in found[:limit]))
        last_looked_at = at if is_more else None
        following = found[limit - 1] if len(found) > limit else last_looked_at
        # A saga may have moved on between the index and its record; what is shown is what was asked for.
        return Page(tuple(one for one in stored if one is not None and wanted.fits(one.record)), following)

    async def _most_selective(self, wanted: Filter) -> str:
        indexes = wanted.indexes()
        if len(indexes) == 1:
            return indexes[0]
        low, high = _bounds(wanted)
        counts = await asyncio.gather(
            *(self._reader.command("ZCOUNT", self._key(index), low, high) for index in indexes)
        )
        return min(zip(counts, indexes, strict=True), key=lambda pair: int(str(pair[0])))[1]

    async def _walk(
        self, index: str, wanted: Filter, after: Position | None, count: int
    ) -> tuple[list[Position], bool]:
        """Return what follows in an index, and whether there is more of it."""
        low, high = _bounds(wanted)
        if after is not None and (wanted.to_ms is None or after.start_ms <= wanted.to_ms):
            high = str(after.start_ms)
        offset = 0
        while True:
            reply = await self._reader.command(
                "ZRANGE", self._key(index), high, low, "BYSCORE", "REV", "LIMIT", offset, count, "WITHSCORES"
            )
            found = list(_positions(reply))
            # Those that started in the very millisecond of the position may lie before it.
            fresh = [position for position in found if after is None or position < after]
            if fresh or len(found) < count:
                return fresh, len(found) == count
            offset += count

    async def _matching(self, chunk: list[Position], wanted: Filter) -> list[Position]:
        fields = await asyncio.gather(
            *(self._reader.read(names.record(position.saga_id), "status", "process", "initiator") for position in chunk)
        )
        return [position for position, told in zip(chunk, fields, strict=True) if wanted.matches(*told)]

    def _key(self, name: str) -> str:
        return self._reader.keys.key(name)


def _bounds(wanted: Filter) -> tuple[str, str]:
    low = "-inf" if wanted.from_ms is None else str(wanted.from_ms)
    high = "+inf" if wanted.to_ms is None else str(wanted.to_ms)
    return low, high


def _positions(reply: Reply) -> Iterator[Position]:
    flat = [str(value) for value in _list(reply)]
    for saga_id, score in zip(flat[::2], flat[1::2], strict=True):
        yield Position(int(float(score)), saga_id)


def _list(reply: Reply) -> list[Reply]:
    return reply if isinstance(reply, list) else []
