"""Durations between events, from the ids of their stream entries, so by the server's clock. Reads streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bench.times import Times
from sagastream.bus import Connection
from sagastream.keys import Keys
from sagastream.replies import entries, taken_ms
from sagastream.settings import Settings

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream: the instant the server received it (epoch ms), and its fields."""

    at_ms: int
    fields: Mapping[str, str]


class Streams:
    """The streams of a shop, read from outside."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._prefix = Settings().key_prefix

    def events(self, owner: str, type_name: str) -> str:
        """Return the stream of one event type."""
        return Keys(self._prefix, owner).events(type_name)

    def requests(self, participant: str) -> str:
        """Return the stream of requests to a participant."""
        return Keys(self._prefix, participant).requests(participant)

    async def entries(self, stream: str) -> list[Entry]:
        """Return all entries of a stream."""
        found: list[Entry] = []
        start = "-"
        while True:
            page = list(entries(await self._connection.execute("XRANGE", stream, start, "+", "COUNT", _AT_ONCE)))
            for id_, fields in page:
                found.append(Entry(taken_ms(id_), fields))
                start = f"({id_}"
            if len(page) < _AT_ONCE:
                return found

    async def first(self, stream: str, *types: str) -> dict[str, int]:
        """Return the instant of each saga's first entry in a stream, optionally of these types only."""
        told: dict[str, int] = {}
        for entry in await self.entries(stream):
            if not types or entry.fields.get("type") in types:
                told.setdefault(entry.fields.get("correlationid", ""), entry.at_ms)
        return told


def between(
    kind: str, since: Mapping[str, int], until: Mapping[str, int], only: Iterable[str], *, plus_ms: int = 0
) -> Times:
    """Return the duration of each of these sagas; ``plus_ms`` is the time in which nothing had to happen."""
    return Times(kind, tuple(sorted(_spans(since, until, only, plus_ms))))


def _spans(since: Mapping[str, int], until: Mapping[str, int], only: Iterable[str], plus_ms: int) -> Iterator[float]:
    for saga_id in only:
        if saga_id in since and saga_id in until:
            yield float(until[saga_id] - since[saga_id] - plus_ms)
