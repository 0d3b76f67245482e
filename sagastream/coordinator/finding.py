"""Finds sagas by what only their records tell: the step they wait at, whether they are stuck, why. Changes nothing.

Indexes answer all other questions. As in the listing, the work per page is limited: a page may be short and still name
a cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sagastream.coordinator.listing import MOST_SCANNED, Filter, Listing, Page, Stored
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import Record
from sagastream.pages import Position
from sagastream.saga import lifecycle, waiting
from sagastream.saga.definition import Saga

_CHUNK = 50  # records in one go; others in this process must not wait for many


@dataclass(frozen=True, slots=True)
class Search:
    """Which sagas are wanted; None means any.

    ``step`` is the step the saga waits at. ``is_stuck`` means that it does not move as it should. ``why`` must occur,
    in upper or lower case, in the saga's reason or in what keeps it from ending. ``id`` is a prefix of its id or of its
    initiator's.
    """

    filter: Filter = field(default_factory=Filter)
    step: str | None = None
    is_stuck: bool | None = None
    why: str | None = None
    id: str | None = None

    @property
    def is_answered_by_indexes(self) -> bool:
        """Tell whether no record needs to be read."""
        return self.step is None and self.is_stuck is None and self.why is None and self.id is None

    @property
    def narrowed(self) -> Filter:
        """Return the part that indexes can answer; a saga that is stuck or waits at a step has not ended."""
        is_unfinished = self.filter.is_unfinished or self.is_stuck is True or self.step is not None
        return replace(self.filter, is_unfinished=is_unfinished)

    def fits(self, stored: Stored, saga: Saga | None, now_ms: int) -> bool:
        """Tell whether a saga fits, apart from what indexes answer; one of an unknown table only waits and is stuck."""
        if self.is_answered_by_indexes:
            return True
        progress = stored.record.progress
        ids = (progress.saga_id, progress.initiator)
        if self.id is not None and not any(each.startswith(self.id) for each in ids if each):
            return False
        if saga is None:
            return self.step is None and self.why is None and self.is_stuck is not False
        if self.step is not None:
            wait = waiting.waiting_for(saga, progress)
            if wait is None or wait.step != self.step:
                return False
        if self.is_stuck is not None and waiting.is_stuck(saga, progress, now_ms) is not self.is_stuck:
            return False
        if self.why is None:
            return True
        told = "\n".join((lifecycle.reason(saga, progress), *lifecycle.troubles(saga, progress)))
        return self.why.casefold() in told.casefold()


class Finding:
    """Finds sagas of the given tables."""

    def __init__(self, sagas: Sequence[Saga], listing: Listing) -> None:
        self.meanings = Meanings(sagas)
        self._listing = listing

    def table(self, stored: Stored) -> Saga | None:
        """Return the table a saga began with, None if it is unknown here."""
        return self.meanings.table(stored.record.progress)

    async def indexed(self, search: Search) -> int | None:
        """Return how many sagas fit, None if that requires reading records."""
        return await self._listing.count(search.filter) if search.is_answered_by_indexes else None

    def fits(self, search: Search, record: Record, now_ms: int) -> bool:
        """Tell whether a saga fits as its record stands, apart from its start."""
        stored = Stored(record, None)
        return search.filter.fits(record) and search.fits(stored, self.table(stored), now_ms)

    async def page(
        self, search: Search, after: Position | None, limit: int, now_ms: int, *, oldest_first: bool = False
    ) -> Page:
        """Return the sagas that fit and follow a position, in the order of their start."""
        if search.is_answered_by_indexes:
            return await self._listing.page(search.filter, after, limit, oldest_first=oldest_first)
        found: list[Stored] = []
        scanned, at = 0, after
        while True:
            scanned += _CHUNK
            chunk = await self._listing.page(search.narrowed, at, _CHUNK, oldest_first=oldest_first)
            for stored in chunk.sagas:
                if search.fits(stored, self.table(stored), now_ms):
                    found.append(stored)
                    if len(found) == limit:
                        is_last = chunk.next is None and stored is chunk.sagas[-1]
                        return Page(tuple(found), None if is_last else place(stored), scanned)
            at = chunk.next
            if at is None or scanned >= MOST_SCANNED:
                return Page(tuple(found), at, scanned)


def place(stored: Stored) -> Position:
    """Return the position of a saga in every index."""
    progress = stored.record.progress
    return Position(progress.start_ms, progress.saga_id)
