"""Finds an event of a saga, as it was sent, on its stream. Reads; changes nothing.

Streams keep what nobody has read, and the rest for a while: trimmed events are not found any more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sagastream import keys as names
from sagastream.bus import Bus
from sagastream.coordinator.listing import Listing
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import Records
from sagastream.event import REQUESTS
from sagastream.keys import COORDINATOR, Keys
from sagastream.reader import Reader
from sagastream.replies import entries
from sagastream.saga.definition import Saga

_AROUND_MS = 5_000  # one script call lies between the instant in a note and the id of its entry
_CHUNK = 500
_MOST_SCANNED = 20_000


class Messages:
    """Finds events of the sagas of these tables."""

    def __init__(self, sagas: Sequence[Saga], *, bus: Bus, key_prefix: str) -> None:
        self._keys = Keys(key_prefix, COORDINATOR)
        self._reader = Reader(bus.query, self._keys)
        self._listing = Listing(Records(bus, self._keys))
        self._meanings = Meanings(sagas)

    async def find(self, saga_id: str, event_id: str) -> tuple[str, dict[str, str]] | None:
        """Return an event of a saga's history with its entry id; None if it is unknown, or no longer kept."""
        found = await self._listing.whole(saga_id)
        if found is None:
            return None
        stored, history = found
        note = next((told for told in map(json.loads, history) if told.get("id") == event_id), None)
        if note is None:
            return None
        stream = self._stream(note, self._meanings.table(stored.record.progress))
        return await self._entry(stream, int(note["at"]), event_id) if stream is not None else None

    def _stream(self, note: dict[str, str], saga: Saga | None) -> str | None:
        if note["type"] not in REQUESTS:
            return self._keys.of(note["source"]).events(note["type"]) if names.OWNER.fullmatch(note["source"]) else None
        performer = saga.performers.get(note.get("step", "")) if saga is not None else None
        return self._keys.requests(performer) if performer is not None else None

    async def _entry(self, stream: str, at_ms: int, event_id: str) -> tuple[str, dict[str, str]] | None:
        start, end = f"{max(0, at_ms - _AROUND_MS)}-0", f"{at_ms + _AROUND_MS}"
        for _ in range(_MOST_SCANNED // _CHUNK):
            reply = await self._reader.command("XRANGE", stream, start, end, "COUNT", _CHUNK)
            chunk = list(entries(reply))
            for position, fields in chunk:
                if fields.get("id") == event_id:
                    return position, fields
            if len(chunk) < _CHUNK:
                return None
            start = f"({chunk[-1][0]}"
        return None
