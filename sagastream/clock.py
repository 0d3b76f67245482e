"""The server's clock, as far as this process can know it between two replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sagastream.bus import Connection, Reply


class ServerClock:
    """Server time in epoch milliseconds, carried forward by the monotonic clock since it was last read.

    Good for pacing and for telling handlers the time; never for deciding that a deadline has passed.
    """

    def __init__(self) -> None:
        self._server_ms = 0
        self._read_at = 0.0
        self._time: Callable[[], float] = float  # of the loop that reads the server's, once one has

    def observe(self, server_ms: int) -> None:
        """Take over a time that the server just told."""
        self._time = asyncio.get_running_loop().time
        self._server_ms, self._read_at = server_ms, self._time()

    def monotonic_s(self) -> float:
        """Return the seconds of a clock that never goes back; without the system call by which a loop is found."""
        return self._time()

    def now_ms(self) -> int:
        """Return the server's time by our reckoning."""
        return self._server_ms + int((self._time() - self._read_at) * 1000)


async def server_ms(connection: Connection) -> int:
    """Ask the server for its time, in epoch milliseconds."""
    return ms_of(await connection.execute("TIME"))


def ms_of(reply: Reply) -> int:
    """Return the answer to ``TIME`` in epoch milliseconds."""
    assert isinstance(reply, list)  # TIME has no other answer
    return int(str(reply[0])) * 1000 + int(str(reply[1])) // 1000
