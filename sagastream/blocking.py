"""Log where an event loop is blocked. A thread does so, because nothing on a blocked loop can run.

A handler that waits without ``await`` stops everything in its process: reads, renewals of pending messages, probes.
Logs files, lines and functions only: values may be personal data.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog

_log = structlog.get_logger()

EVERY_S = 1.0
BLOCKED_S = 2.0  # without a turn of the loop
_GRACE_S = 0.5  # a process that was stopped and goes on turns its loop within this
_MOST_FRAMES = 6
_ASYNCIO = asyncio.__path__[0]
_HELP = "await what takes long, or have it done by asyncio.to_thread"


@contextmanager
def blocking_is_told(every_s: float = EVERY_S, blocked_s: float = BLOCKED_S) -> Iterator[None]:
    """Log where the running loop is blocked whenever it has not turned for ``blocked_s``, and when it turns again."""
    watch = _Watch(asyncio.get_running_loop(), every_s, blocked_s)
    watch.start()
    try:
        yield
    finally:
        watch.end()


class _Watch(threading.Thread):
    """Checks again and again that the loop turns which runs in the thread that created this watch."""

    def __init__(self, loop: asyncio.AbstractEventLoop, every_s: float, blocked_s: float) -> None:
        super().__init__(name="loop watch", daemon=True)
        self._loop = loop
        self._runs_in = threading.get_ident()
        self._every_s = every_s
        self._blocked_s = blocked_s
        self._ended = threading.Event()
        self._turned = threading.Event()

    def end(self) -> None:
        """End at once, although the loop cannot turn while this joins the thread."""
        self._ended.set()
        self._turned.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(self._every_s):
            self._turned.clear()
            if self._ended.is_set():
                return
            asked_at = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._turned.set)
            except RuntimeError:
                return  # the loop is closed
            if self._turned.wait(self._blocked_s) or self._turned.wait(_GRACE_S):
                continue
            at = where(sys._current_frames().get(self._runs_in))
            _log.error("loop.blocked", at=at, for_s=self._blocked_s, help=_HELP)
            self._turned.wait()
            if not self._ended.is_set():
                _log.warning("loop.turns_again", after_s=round(time.monotonic() - asked_at, 1))


def where(frame: FrameType | None) -> str:
    """Return the innermost calls of a thread, each as ``file:line function``, without those of asyncio itself."""
    calls: list[str] = []
    while frame is not None and len(calls) < _MOST_FRAMES:
        code = frame.f_code
        if not code.co_filename.startswith(_ASYNCIO):
            calls.append(f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(calls)
