"""Periodic readings: memory and descriptors of processes, memory and keys of the server. Reads; judges
nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from sagastream.audit.strays import scanned
from sagastream.bus import Connection, Reply

_PAGE = os.sysconf("SC_PAGE_SIZE")
_AT_ONCE = 1000
_FEW = 200  # keys of a kind whose size is measured
# A key's share of the server's own tables, which MEMORY USAGE leaves out: 19 to 29 bytes, depending on their load,
# and 43 more if it expires (Redis 7.0).
_IN_TABLES, _IN_EXPIRIES = 24, 43
_KIND = re.compile(r"\{[^}]+\}:[a-z-]+")


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20


def descriptors(pid: int) -> int:
    """Return the number of open files and connections of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


async def used_mb(connection: Connection) -> float:
    """Return the memory the server uses for its data."""
    told = str(await connection.execute("INFO", "memory"))
    (line,) = (line for line in told.splitlines() if line.startswith("used_memory:"))
    return int(line.partition(":")[2]) / 2**20


async def keys(connection: Connection) -> dict[str, list[str]]:
    """Return every key, by owner and the first word of its name."""
    found: dict[str, list[str]] = {}
    async for page in scanned(connection, "*"):
        for key in page:
            kind = _KIND.search(key)
            found.setdefault(kind[0] if kind else key, []).append(key)
    return found


async def entries(connection: Connection, streams: Sequence[str]) -> int:
    """Return the total number of entries in these streams."""
    return sum(_whole(await connection.pipeline([("XLEN", stream) for stream in streams])))


async def size_mb(connection: Connection, names: Sequence[str]) -> float:
    """Return the size of these keys, estimated from a few of them, with their share of the server's tables."""
    few = names[:: max(1, len(names) // _FEW)][:_FEW]
    sizes = _whole(await connection.pipeline([("MEMORY", "USAGE", name) for name in few]))
    lives = _whole(await connection.pipeline([("PTTL", name) for name in few]))
    in_tables = _IN_TABLES * len(sizes) + _IN_EXPIRIES * sum(life >= 0 for life in lives)
    return (sum(sizes) + in_tables) / max(1, len(sizes)) * len(names) / 2**20


def _whole(replies: Sequence[Reply | Exception]) -> list[int]:
    return [reply for reply in replies if isinstance(reply, int)]
