"""Reads sagas' streams forwards from the oldest entry, and knows what was trimmed. Speaks Redis; judges nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence

from sagastream.audit.case import Sighting, step_in
from sagastream.audit.scene import Pause
from sagastream.bus import Connection, Reply
from sagastream.envelope import decode, pairs
from sagastream.errors import ReplyError, Undecodable
from sagastream.event import LIBRARY_FACTS, REQUESTS
from sagastream.replies import listed, named, taken_ms, texts

AT_ONCE = 500
FEW = 100  # for reads during which others wait for every entry to be examined
_ABOUT_A_STEP = frozenset({*REQUESTS, *(kind.type_name() for kind in LIBRARY_FACTS)})
_WHERE = {"id": 2, "source": 4, "type": 6, "correlationid": 16, "causationid": 18, "data": 30}
Entry = tuple[str, Sighting]  # the saga id, and the event


class Stream:
    """One stream, read forwards."""

    def __init__(self, name: str, *, from_ms: int, count: int = AT_ONCE) -> None:
        self.name = name
        self._count = count
        self._next = str(max(0, from_ms))
        self._held: deque[Entry] = deque()
        self._is_through = False

    def wants(self) -> tuple[str | int, ...] | None:
        """Return the command to answer before more can be taken; None if entries are held, or all were read."""
        return None if self._held or self._is_through else ("XRANGE", self.name, self._next, "+", "COUNT", self._count)

    def answer(self, reply: Reply) -> None:
        """Hold the entries of a reply."""
        entries = listed(reply)
        self._is_through = len(entries) < self._count
        for entry in entries:
            if isinstance(entry, list) and entry:
                self._next = f"({entry[0]}"
                found = sighted(self.name, str(entry[0]), entry[1])
                if found is not None:
                    self._held.append(found)

    def take(self, until_ms: int) -> Iterator[Entry]:
        """Yield held entries up to an instant."""
        while self._held and self._held[0][1].at_ms <= until_ms:
            yield self._held.popleft()

    @property
    def is_empty(self) -> bool:
        """Tell whether more must be read: nothing is held, and the end was not reached."""
        return not self._held and not self._is_through

    def go_on(self) -> None:
        """Look for more entries, although the end was reached before."""
        self._is_through = False


def sighted(stream: str, entry_id: str, told: Reply) -> Entry | None:
    """Return the saga and event of an entry; None for most entries that are no event."""
    flat = listed(told)
    fields = _fields(flat)
    if fields is None:
        return None
    step = step_in(fields["data"]) if fields["type"] in _ABOUT_A_STEP else ""
    at_ms = taken_ms(entry_id)
    return fields["correlationid"], Sighting(
        stream, at_ms, fields["id"], fields["type"], fields["source"], fields["causationid"], step
    )


def _is_event(told: Reply) -> bool:
    """Tell whether an entry is a complete event, which takes many times as long as reading its saga id."""
    try:
        decode(texts(told))
    except Undecodable:
        return False
    return True


def _fields(flat: Sequence[Reply]) -> dict[str, str] | None:
    """Return the relevant fields, from where every publisher puts them or else by name."""
    if len(flat) == 32 and all(flat[at] == name for name, at in _WHERE.items()):
        return {name: str(flat[at + 1]) for name, at in _WHERE.items()}
    if len(flat) % 2:
        return None
    told = pairs([str(part) for part in flat])
    return {name: told[name] for name in _WHERE} if told.keys() >= _WHERE.keys() else None


async def horizon(connection: Connection, streams: Sequence[str]) -> int:
    """Return the instant (epoch ms) after which no entry of these streams was removed; 0 if none ever was."""
    replies = await connection.pipeline([("XINFO", "STREAM", stream) for stream in streams])
    return max((_horizon(reply) for reply in replies), default=0)


async def newest(connection: Connection, streams: Sequence[str]) -> int:
    """Return the instant (epoch ms) of the newest entry of all these streams; 0 if there is none."""
    replies = await connection.pipeline([("XREVRANGE", stream, "+", "-", "COUNT", 1) for stream in streams])
    last = [reply[0] for reply in replies if isinstance(reply, list) and reply]
    return max((taken_ms(entry[0]) for entry in last if isinstance(entry, list)), default=0)


def _horizon(reply: Reply | ReplyError) -> int:
    if isinstance(reply, ReplyError):
        if "no such key" in str(reply):
            return 0  # nothing was ever published to it
        raise reply
    told = named(reply)
    if told["entries-added"] == told["length"]:
        return 0
    kept_from = told["recorded-first-entry-id"] if told["length"] != "0" else told["last-generated-id"]
    return max(taken_ms(kept_from), taken_ms(told["max-deleted-entry-id"])) + 1


async def between(
    connection: Connection, stream: str, from_ms: int, to_ms: int, wanted: Collection[str], most: int, pause: Pause
) -> list[Entry] | None:
    """Return the events of these sagas in a span of a stream, None if the span holds more than ``most`` entries."""
    found: list[Entry] = []
    start = str(max(0, from_ms))
    for _ in range(0, most, FEW):
        reply = await connection.execute("XRANGE", stream, start, to_ms, "COUNT", FEW)
        entries = listed(reply)
        for entry in entries:
            if isinstance(entry, list) and entry:
                start = f"({entry[0]}"
                told = sighted(stream, str(entry[0]), entry[1])
                if told is not None and told[0] in wanted and _is_event(entry[1]):
                    found.append(told)
        await pause()
        if len(entries) < FEW:
            return found
    return None
