"""Measure how long a process has been running, without pauses. Reads a clock; sets no timer."""

from __future__ import annotations

from collections.abc import Callable


class AwakeTime:
    """Counts seconds, except those in which the process or its machine was stopped.

    A loop's clock goes on while the process is stopped (SIGSTOP), and may go on while the machine is suspended. The
    users of this time must read it at least every ``at_most_s``; a longer gap between reads means that the process was
    stopped, and counts as ``at_most_s``.
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
