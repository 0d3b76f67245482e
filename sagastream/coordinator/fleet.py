"""The fleet of sagas right now: how many are in which status, how old the oldest is, how late deadlines are.

Reads indexes; changes nothing and counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sagastream import keys as names
from sagastream.bus import Connection
from sagastream.clock import ms_of
from sagastream.coordinator.counts import Counts
from sagastream.keys import COUNTS, TIMERS, Keys
from sagastream.reader import Reader
from sagastream.replies import named, scored, sound
from sagastream.saga.lifecycle import Status

UNFINISHED = tuple(status for status in Status if not status.is_end)


@dataclass(frozen=True)
class Fleet:
    """What is known about all sagas at one instant (``now_ms``, server time).

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
    """Return the fleet; it includes ``processes`` even if nothing was ever counted of them."""
    first = await connection.pipeline(
        [("TIME",), ("HGETALL", keys.key(COUNTS)), ("ZRANGE", keys.key(TIMERS), 0, 0, "WITHSCORES")]
    )
    time, counted, timer = (sound(reply) for reply in first)
    counts = Counts.of(named(counted))
    cells = [(process, status) for process in counts.processes(processes) for status in UNFINISHED]
    indexes = [keys.key(names.index("status", status, process)) for process, status in cells]
    second = await connection.pipeline(
        [command for index in indexes for command in (("ZCARD", index), ("ZRANGE", index, 0, 0, "WITHSCORES"))]
    )
    sizes, oldest = ([sound(reply) for reply in second[at::2]] for at in (0, 1))
    starts = [start for reply in oldest for _, start in scored(reply)]
    return Fleet(
        now_ms=ms_of(time),
        counts=counts,
        active={cell: int(str(size)) for cell, size in zip(cells, sizes, strict=True)},
        oldest_ms=min(starts, default=None),
        due_ms=next((due_ms for _, due_ms in scored(timer)), None),
    )


async def read_processes(reader: Reader) -> list[str]:
    """Return the names of all processes that ever had a saga."""
    return Counts.of(await reader.read_all(COUNTS)).processes()
