"""Reads the change feed: which sagas' records changed after a position. Speaks Redis; decides nothing.

The feed is trimmed as it grows (``Records``), so it may be incomplete: a position is valid only while its own
entry still exists. Then all later entries exist too, even on a server that has lost its last writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sagastream.bus import Bus
from sagastream.keys import CHANGES, Keys
from sagastream.replies import entries

START = "0-0"  # the position before the first change
MOST_SAGAS = 1000
_AT_ONCE = 500
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Changes:
    """The sagas whose records changed up to a position, each once."""

    position: str
    sagas: tuple[str, ...]


class Feed:
    """The feed of one coordinator's slot."""

    def __init__(self, bus: Bus, keys: Keys) -> None:
        self._key = keys.key(CHANGES)
        self._reader = bus.reader
        self._query = bus.query

    async def end(self) -> str:
        """Return the position of the latest change."""
        latest = entries(await self._query.execute("XREVRANGE", self._key, "+", "-", "COUNT", 1))
        return next((position for position, _ in latest), START)

    async def wait(self, position: str, longest: timedelta) -> None:
        """Return once there is a change after a position, or after ``longest``."""
        await self._reader.execute("XREAD", "COUNT", 1, "BLOCK", longest // _MS, "STREAMS", self._key, position)

    async def since(self, position: str) -> Changes | None:
        """Return the changes after a position; None if they cannot be determined, or are too many to show."""
        sagas: dict[str, None] = {}
        at = position
        while True:
            low = "-" if at == START else at
            told = list(entries(await self._query.execute("XRANGE", self._key, low, "+", "COUNT", _AT_ONCE)))
            is_last = len(told) < _AT_ONCE
            if at != START:
                if not told or told[0][0] != at:
                    return None
                told = told[1:]
            for _, mentioned in told:
                sagas |= dict.fromkeys(mentioned.get("names", "").split())
            if len(sagas) > MOST_SAGAS:
                return None
            if told:
                at = told[-1][0]
            if is_last:
                return Changes(at, tuple(sagas))
