"""The fleet of sagas right now: how many are in which status, how old the oldest is, how late deadlines are.

Reads indexes; changes nothing and counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sagastream import keys as names
from sagastream.bus import Connection, Reply
from sagastream.clock import ms_of
from sagastream.coordinator.counts import Counts
from sagastream.envelope import pairs
from sagastream.errors import ReplyError
from sagastream.keys import COUNTS, TIMERS, Keys
from sagastream.saga.lifecycle import Status

UNFINISHED = tuple(status for status in Status if not status.is_end)


@dataclass(frozen=True)
class Fleet:
    """What is known of all sagas at one instant (``now_ms``, server time).

    ``active`` counts unfinished sagas by process and status; ``oldest_ms`` is the start of the oldest of them,
    ``due_ms`` the earliest timer.
    """

    now_ms: int
    counts: Counts
    active: Mapping[tuple[str, Status], int]
    oldest_ms: int | None
    due_ms: int | None

    def active_in(self, status: Status) -> int:
        """Return how many sagas of any process are in an unfinished status."""
        return sum(count for (_, at), count in self.active.items() if at is status)


async def read_fleet(connection: Connection, keys: Keys, processes: Sequence[str]) -> Fleet:
    """Return the fleet; ``processes`` are those to be counted even if nothing was ever counted of them."""
    first = await connection.pipeline(
        [
            ("TIME",),
            ("HGETALL", keys.key(COUNTS)),
            ("ZRANGE", keys.key(TIMERS), 0, 0, "WITHSCORES"),
            *(("ZRANGE", keys.key(names.index("status", status)), 0, 0, "WITHSCORES") for status in UNFINISHED),
        ]
    )
    time, counted, timer, *oldest = (_sound(reply) for reply in first)
    counts = Counts.of(pairs([str(value) for value in _list(counted)]))
    every = counts.processes(processes)
    starts = [start for start in map(_score, oldest) if start is not None]
    return Fleet(
        now_ms=ms_of(time),
        counts=counts,
        active=await _active(connection, keys, every),
        oldest_ms=min(starts, default=None),
        due_ms=_score(timer),
    )


async def _active(connection: Connection, keys: Keys, processes: Sequence[str]) -> dict[tuple[str, Status], int]:
    cells = [(process, status) for process in processes for status in UNFINISHED]
    replies = await connection.pipeline([_counting(keys, *cell, is_only=len(processes) == 1) for cell in cells])
    return {cell: int(str(_sound(reply))) for cell, reply in zip(cells, replies, strict=True)}


def _counting(keys: Keys, process: str, status: Status, *, is_only: bool) -> tuple[str | int, ...]:
    """Return the command that counts a cell; where there is only one process its index need not be crossed."""
    by_status = keys.key(names.index("status", status))
    if is_only:
        return ("ZCARD", by_status)
    return ("ZINTERCARD", 2, by_status, keys.key(names.index("process", process)))


def _score(reply: Reply) -> int | None:
    found = _list(reply)
    return int(float(str(found[1]))) if found else None


def _list(reply: Reply) -> list[Reply]:
    return reply if isinstance(reply, list) else []


def _sound(reply: Reply | ReplyError) -> Reply:
    if isinstance(reply, ReplyError):
        raise reply
    return reply
