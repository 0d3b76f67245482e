"""Lists sagas page by page, newest or oldest first, by any filter. Reads indexes and records; changes nothing.

A page continues strictly after the last saga examined, by start and id, so sagas that begin meanwhile never shift the
following pages. The work per page is limited: if a filter matches little, a page may be short, or empty, and still name
a cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from sagastream import keys as names
from sagastream.coordinator.fleet import UNFINISHED, read_processes
from sagastream.coordinator.records import FIELDS, Record, Records, read_record
from sagastream.errors import ReplyError, Undecodable
from sagastream.pages import Position, following
from sagastream.replies import listed, texts
from sagastream.saga.lifecycle import Status

log = structlog.get_logger(__name__)

MOST_SCANNED = 1000
_STORED = (*FIELDS, "ended_ms")
_STATUSES = frozenset(map(str, Status))
_MOST_NOTES = 1000
_READS = 5  # of a saga that changes faster than it is read; then the last record comes with the history before it


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sagas are wanted; None means any. Instants are epoch ms, both included.

    ``is_unfinished`` means any status that is no end; it has no effect beside a ``status``.
    """

    status: Status | None = None
    process: str | None = None
    initiator: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    is_unfinished: bool = False

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Return the wanted statuses; empty if any status will do."""
        return (self.status,) if self.status is not None else UNFINISHED if self.is_unfinished else ()

    def sets(self, processes: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the sets whose intersection is the wanted sagas, each as the indexes it consists of.

        ``processes`` are all there are; needed for a status of any process.
        """
        found = []
        if self.statuses:
            of = processes if self.process is None else [self.process]
            found.append(tuple(names.index("status", status, process) for status in self.statuses for process in of))
        elif self.process is not None:
            found.append((names.index("process", self.process),))
        if self.initiator is not None:
            found.append((names.index("initiator", self.initiator),))
        return found or [(names.index("all"),)]

    def fits(self, record: Record) -> bool:
        """Tell whether a record is wanted, apart from its start."""
        progress = record.progress
        if self.statuses and Status(record.status) not in self.statuses:
            return False
        pairs = (
            (self.process, progress.definition),
            (self.initiator, progress.initiator),
        )
        return all(wanted is None or wanted == found for wanted, found in pairs)


@dataclass(frozen=True, slots=True)
class Stored:
    """A record, and when its saga ended (epoch ms)."""

    record: Record
    ended_ms: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some sagas, and where to go on, None at the end. ``looked_at`` is how many were examined to find them."""

    sagas: tuple[Stored, ...]
    next: Position | None
    looked_at: int = 0


class Listing:
    """Finds stored sagas."""

    def __init__(self, records: Records) -> None:
        self._reader = records.reader

    async def find(self, saga_id: str) -> Stored | None:
        """Return one saga, None if nothing is known about it.

        Raises: ``Undecodable`` for one whose record this library did not write.
        """
        (values,) = await self._reader.read_each([names.record(saga_id)], *_STORED)
        found = _stored(saga_id, values)
        if isinstance(found, Undecodable):
            raise found
        return found

    async def find_each(self, saga_ids: Sequence[str]) -> list[Stored | None]:
        """Return several sagas in their order; None for each that is unknown or unreadable, the latter also logged."""
        told = await self._reader.read_at_once([names.record(saga_id) for saga_id in saga_ids], *_STORED)
        return [_legible(saga_id, values) for saga_id, values in zip(saga_ids, told, strict=True)]

    async def whole(self, saga_id: str) -> tuple[Stored, list[str]] | None:
        """Return one saga with the latest notes of its history, both of one instant; None if the saga is unknown.

        A commit between the two reads would show an end that the status does not have yet, so both are then read again.
        """
        stored = await self.find(saga_id)
        history: list[str] = []
        for _ in range(_READS):
            if stored is None:
                return None
            told = await self._reader.command("LRANGE", self._key(names.history(saga_id)), -_MOST_NOTES, -1)
            history = texts(told)
            known, stored = stored, await self.find(saga_id)
            if stored is not None and stored.record.version == known.record.version:
                break
        return None if stored is None else (stored, history)

    async def count(self, wanted: Filter) -> int | None:
        """Return how many sagas match a filter; None if indexes alone cannot tell."""
        sets = wanted.sets(await self._processes(wanted))
        if len(sets) > 1:
            return None
        low = "-inf" if wanted.from_ms is None else wanted.from_ms
        high = "+inf" if wanted.to_ms is None else wanted.to_ms
        replies = await self._reader.commands([("ZCOUNT", self._key(index), low, high) for index in sets[0]])
        return sum(int(str(reply)) for reply in replies)

    async def page(self, wanted: Filter, after: Position | None, limit: int, *, oldest_first: bool = False) -> Page:
        """Return the matching sagas that follow a position; one with an unreadable record is left out, and logged."""
        narrowest, *others = await self._narrowest_first(wanted)
        found: list[Position] = []
        scanned, at, is_more = 0, after, True
        count = 2 * limit if others else limit + 1
        while is_more and scanned < MOST_SCANNED and len(found) <= limit:
            chunk, is_more = await following(
                self._reader, narrowest, at, count,
                lowest=wanted.from_ms, highest=wanted.to_ms, lowest_first=oldest_first,
            )  # fmt: skip
            scanned += len(chunk)
            count = min(2 * count, MOST_SCANNED - scanned)  # if little matches, read more at a time
            # A saga that changed its status between two of the reads appears in both.
            chunk = list(dict.fromkeys(chunk))
            found += await self._in_all(others, chunk) if others else chunk
            at = chunk[-1] if chunk else at
        last_looked_at = at if is_more else None
        next_ = found[limit - 1] if len(found) > limit else last_looked_at
        shown = await self.find_each([position.member for position in found[:limit]])
        # A saga may have moved on between the index and its record; show only what was asked for.
        return Page(tuple(one for one in shown if one is not None and wanted.fits(one.record)), next_, scanned)

    async def _processes(self, wanted: Filter) -> Sequence[str]:
        return await read_processes(self._reader) if wanted.statuses and wanted.process is None else ()

    async def _narrowest_first(self, wanted: Filter) -> list[tuple[str, ...]]:
        """Return the sets of a filter, the one with the fewest sagas in the filter's span of time first."""
        sets = wanted.sets(await self._processes(wanted))
        if len(sets) == 1:
            return sets
        low = "-inf" if wanted.from_ms is None else wanted.from_ms
        high = "+inf" if wanted.to_ms is None else wanted.to_ms
        every = [index for indexes in sets for index in indexes]
        replies = await self._reader.commands([("ZCOUNT", self._key(index), low, high) for index in every])
        count = {index: int(str(reply)) for index, reply in zip(every, replies, strict=True)}
        return sorted(sets, key=lambda indexes: sum(count[index] for index in indexes))

    async def _in_all(self, sets: Sequence[tuple[str, ...]], chunk: list[Position]) -> list[Position]:
        """Return the positions of a chunk that are in every one of these sets."""
        ids = [position.member for position in chunk]
        if not ids:
            return []
        replies = await self._reader.commands(
            [("ZMSCORE", self._key(index), *ids) for indexes in sets for index in indexes]
        )
        columns = map(listed, replies)
        for indexes in sets:
            scores = [next(columns) for _ in indexes]
            held = {
                saga_id for column in scores for saga_id, score in zip(ids, column, strict=True) if score is not None
            }
            chunk = [position for position in chunk if position.member in held]
        return chunk

    def _key(self, name: str) -> str:
        return self._reader.keys.key(name)


def _legible(saga_id: str, values: Sequence[str | None] | ReplyError) -> Stored | None:
    found = _stored(saga_id, values)
    if isinstance(found, Undecodable):
        log.error("record.cannot_be_shown", error=str(found))
        return None
    return found


def _stored(saga_id: str, values: Sequence[str | None] | ReplyError) -> Stored | Undecodable | None:
    ended = None if isinstance(values, ReplyError) else values[-1]
    record = read_record(saga_id, values if isinstance(values, ReplyError) else values[:-1])
    if not isinstance(record, Record):
        return record
    if record.status not in _STATUSES:
        return Undecodable(
            f"the record of {saga_id} says {record.status[:64]!r}, which is no status that is known here"
        )
    return Stored(record, int(ended) if ended else None)
