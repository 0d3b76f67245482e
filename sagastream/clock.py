"""The server's clock, as this process estimates it between two replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sagastream.bus import Connection, Reply


class ServerClock:
    """Server time in epoch milliseconds, advanced by the monotonic clock since it was last observed.

    Use it for pacing and for the time passed to handlers; never to decide that a deadline has passed.
    """

    def __init__(self) -> None:
        self._server_ms = 0
        self._read_at = 0.0
        self._time: Callable[[], float] = float  # that of the observing loop, once observed

    def observe(self, server_ms: int) -> None:
        """Set the clock to a time that the server has just returned."""
        self._time = asyncio.get_running_loop().time
        self._server_ms, self._read_at = server_ms, self._time()

    def monotonic_s(self) -> float:
        """Return the seconds of a clock that never goes back, without the system call that finds the running loop."""
        return self._time()

    def now_ms(self) -> int:
        """Return the estimated server time."""
        return self._server_ms + int((self._time() - self._read_at) * 1000)


async def server_ms(connection: Connection) -> int:
    """Ask the server for its time, in epoch milliseconds."""
    return ms_of(await connection.execute("TIME"))


def ms_of(reply: Reply) -> int:
    """Return the answer to ``TIME`` in epoch milliseconds."""
    assert isinstance(reply, list)  # TIME has no other answer
    return int(str(reply[0])) * 1000 + int(str(reply[1])) // 1000
