"""How long an event loop was at work. Reads its clock; sets no timer."""

from __future__ import annotations

from collections.abc import Callable


class AwakeTime:
    """Counts seconds in which something was done, without those in which the process or its machine was stopped.

    The clock of a loop goes on in a process that is stopped (SIGSTOP), and may in a suspended machine. Whoever shares
    this time reads it at least every ``at_most_s``: if nobody did, nobody could, and so much is counted at most.
    """

    def __init__(self, clock: Callable[[], float], *, at_most_s: float) -> None:
        self._clock = clock
        self._at_most_s = at_most_s
        self._read_at = clock()
        self._counted_s = 0.0

    def seconds(self) -> float:
        """Return the seconds counted so far; only differences mean anything."""
        now = self._clock()
        self._counted_s += min(now - self._read_at, self._at_most_s)
        self._read_at = now
        return self._counted_s
