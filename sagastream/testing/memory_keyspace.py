"""The keys of the in-memory Redis: typed values, expiry, and the readers blocked on each stream.

It owns the stored data; it knows no command.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from typing import TypeVar

from sagastream.errors import ReplyError
from sagastream.testing.memory_stream_log import Stream

Raw = None | int | bytes | list["Raw"]
"""A reply as the server builds it: all text is bytes."""

Args = Sequence[bytes]
"""The arguments of a command, without its name."""

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


class Status(bytes):
    """A status reply such as ``+OK``; only a script can distinguish it from a bulk string."""


OK = Status(b"OK")


class Hash(dict[bytes, bytes]):
    """A hash: field to value, in the order of insertion."""


class List(list[bytes]):
    """A list."""


class SortedSet:
    """A sorted set: scores by member, and (score, member) in order."""

    __slots__ = ("order", "scores")

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}
        self.order: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self.scores)

    def put(self, member: bytes, score: float) -> None:
        """Set the score of a member, new or old."""
        self.remove(member)
        self.scores[member] = score
        insort(self.order, (score, member))

    def remove(self, member: bytes) -> bool:
        """Remove a member; return whether it was there."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.order[bisect_left(self.order, (score, member))]
        return True


Value = bytes | Hash | List | SortedSet | Stream

Waiter = asyncio.Future[bool | None]
"""The future that a blocked reader awaits; its result is None when something changed."""

V = TypeVar("V", bytes, Hash, List, SortedSet, Stream)


class Keyspace:
    """All keys of one server, with the instants at which they expire."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.run_id = "1"
        """The server's run id since its last start."""
        self.values: dict[bytes, Value] = {}
        self.expiries: dict[bytes, int] = {}
        self.on_added: Callable[[bytes, Args], None] = lambda key, fields: None
        """Called for every entry added to a stream, with the stream's key, names and values."""
        self._waiters: dict[bytes, dict[Waiter, None]] = {}

    def look_up(self, key: bytes) -> Value | None:
        """Return the value of a key, or None if it is missing or has expired."""
        if self.expiries:
            self._expire(key)
        return self.values.get(key)

    def typed(self, key: bytes, kind: type[V]) -> V | None:
        """Return the value of a key, or None; refuse a value of another type."""
        if key in self.expiries:
            self._expire(key)
        value = self.values.get(key)
        if value is None or type(value) is kind:
            return value
        raise wrong_type()

    def typed_or_new(self, key: bytes, kind: type[V]) -> V:
        """Return the value of a key; create it empty if it is missing."""
        value = self.typed(key, kind)
        if value is None:
            value = self.values[key] = kind()
        return value

    def remove(self, key: bytes) -> bool:
        """Delete a key; return whether it was there."""
        self.expiries.pop(key, None)
        if self.values.pop(key, None) is None:
            return False
        self.wake(key)
        return True

    def vanish_if_empty(self, key: bytes, value: Hash | List | SortedSet) -> None:
        """Delete a collection that has lost its last element."""
        if not value:
            self.remove(key)

    def live_keys(self) -> list[bytes]:
        """Return every key that has not expired, in the order of creation."""
        for key in list(self.expiries):
            self._expire(key)
        return list(self.values)

    def clear(self) -> None:
        """Delete everything."""
        self.values.clear()
        self.expiries.clear()
        for key in list(self._waiters):
            self.wake(key)

    def wait_for(self, keys: Sequence[bytes], waiter: Waiter) -> None:
        """Wake a future at the next change that a blocked reader of these streams must see."""
        for key in keys:
            self._waiters.setdefault(key, {})[waiter] = None

    def stop_waiting(self, keys: Sequence[bytes], waiter: Waiter) -> None:
        """Remove a future that no longer waits."""
        for key in keys:
            waiting = self._waiters.get(key)
            if waiting is not None:
                waiting.pop(waiter, None)
                if not waiting:
                    del self._waiters[key]

    def wake(self, key: bytes) -> None:
        """Wake the readers blocked on a stream, the longest waiting first."""
        if self._waiters:
            for waiter in self._waiters.pop(key, ()):
                if not waiter.done():
                    waiter.set_result(None)

    def fail_waiting(self, error: Exception) -> None:
        """Fail every blocked read."""
        for waiting in list(self._waiters.values()):
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_exception(error)

    def _expire(self, key: bytes) -> None:
        due = self.expiries.get(key)
        if due is not None and self.clock() > due:
            self.remove(key)


def wrong_type() -> ReplyError:
    """Build the error for a key that holds another type."""
    return ReplyError("WRONGTYPE", "Operation against a key holding the wrong kind of value")


def syntax_error() -> ReplyError:
    """Build the error for arguments that do not fit the command."""
    return ReplyError("ERR", "syntax error")


def integer(text: bytes, message: str = "value is not an integer or out of range") -> int:
    """Parse a signed 64-bit integer exactly as strictly as the server does."""
    if len(text) < 19 and text.isdigit() and text[:1] != b"0":
        return int(text)  # fast path: nearly all are plain
    try:
        value = int(text)
    except ValueError:
        raise ReplyError("ERR", message) from None
    if b"%d" % value != text or not INT64_MIN <= value <= INT64_MAX:
        raise ReplyError("ERR", message)
    return value


def added(value: int, step: int) -> int:
    """Add as the server does: refuse a result beyond 64 bits."""
    total = value + step
    if not INT64_MIN <= total <= INT64_MAX:
        raise ReplyError("ERR", "increment or decrement would overflow")
    return total


def options(args: Args) -> list[bytes]:
    """Return arguments in upper case, to search them for option words."""
    return [arg.upper() for arg in args]
