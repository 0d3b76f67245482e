"""The data of one stream in the in-memory Redis: entries, groups, and pending entries by consumer.

Pure data and the arithmetic of positions; it knows no command and no clock.

Source: src/t_stream.c of Redis 7.0, whose counters (entries-read, lag) are estimates in the same cases.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

EntryId = tuple[int, int]
"""Milliseconds and sequence number."""

ZERO: EntryId = (0, 0)
MAX_PART = 2**64 - 1
MAX: EntryId = (MAX_PART, MAX_PART)


class Pending:
    """One entry delivered to a consumer and not yet acknowledged."""

    __slots__ = ("consumer", "delivered_ms", "deliveries")

    def __init__(self, consumer: bytes, delivered_ms: int, deliveries: int = 1) -> None:
        self.consumer = consumer
        self.delivered_ms = delivered_ms
        self.deliveries = deliveries


class Group:
    """A consumer group: its read position and its pending entries."""

    __slots__ = ("consumers", "entries_read", "held_order", "last_id", "pending")

    def __init__(self, last_id: EntryId) -> None:
        self.last_id = last_id
        self.entries_read: int | None = None
        self.consumers: dict[bytes, int] = {}  # name → when it was last seen
        self.pending: dict[EntryId, Pending] = {}
        self.held_order: list[EntryId] = []

    def hold(self, entry_id: EntryId, pending: Pending) -> None:
        """Mark an entry as delivered and pending; it is taken from its previous consumer, if any."""
        if entry_id not in self.pending:
            insort(self.held_order, entry_id)
        self.pending[entry_id] = pending

    def release(self, entry_id: EntryId) -> bool:
        """Remove a pending entry; return whether it was pending."""
        if self.pending.pop(entry_id, None) is None:
            return False
        del self.held_order[bisect_left(self.held_order, entry_id)]
        return True

    def held(self, low: EntryId, high: EntryId = MAX) -> list[EntryId]:
        """Return the ids of pending entries between two ids, inclusive."""
        order = self.held_order
        return order[bisect_left(order, low) : bisect_right(order, high)]

    def see(self, name: bytes, now_ms: int) -> None:
        """Record that a consumer was seen; creates an unknown one."""
        self.consumers[name] = now_ms

    def held_by(self, name: bytes) -> int:
        """Count the pending entries of one consumer."""
        return sum(pending.consumer == name for pending in self.pending.values())


class Stream:
    """An append-only log with groups; it is kept when it becomes empty."""

    __slots__ = ("added", "entries", "groups", "last_id", "max_deleted_id", "order")

    def __init__(self) -> None:
        self.entries: dict[EntryId, list[bytes]] = {}
        self.order: list[EntryId] = []
        self.groups: dict[bytes, Group] = {}
        self.last_id: EntryId = ZERO
        self.max_deleted_id: EntryId = ZERO
        self.added = 0

    @property
    def first_id(self) -> EntryId:
        """Return the id of the first entry; zero if there is none."""
        return self.order[0] if self.order else ZERO

    def append(self, entry_id: EntryId, fields: list[bytes]) -> None:
        """Add an entry whose id must be the greatest so far."""
        self.entries[entry_id] = fields
        self.order.append(entry_id)
        self.last_id = entry_id
        self.added += 1

    def delete(self, entry_id: EntryId) -> bool:
        """Remove one entry; return whether it was there."""
        if self.entries.pop(entry_id, None) is None:
            return False
        del self.order[bisect_left(self.order, entry_id)]
        self.max_deleted_id = max(self.max_deleted_id, entry_id)
        return True

    def trim_to(self, length: int) -> int:
        """Remove the oldest entries until at most ``length`` are left; return how many were removed."""
        return self._cut(max(0, len(self.order) - length))

    def trim_before(self, entry_id: EntryId) -> int:
        """Remove entries older than an id; return how many were removed."""
        return self._cut(bisect_left(self.order, entry_id))

    def between(self, low: EntryId, high: EntryId = MAX) -> list[EntryId]:
        """Return the ids of entries between two ids, inclusive."""
        return self.order[bisect_left(self.order, low) : bisect_right(self.order, high)]

    def after(self, entry_id: EntryId, count: int | None = None) -> list[EntryId]:
        """Return the ids of the entries that follow an id."""
        start = bisect_right(self.order, entry_id)
        return self.order[start : None if count is None else start + count]

    def lag(self, group: Group) -> int | None:
        """Return how many entries a group has still to read; None if this cannot be determined."""
        if not self.added:
            return 0
        if group.entries_read is not None and not self.has_gap_from(group.last_id):
            return self.added - group.entries_read
        read = self.position(group.last_id)
        return None if read is None else self.added - read

    def position(self, entry_id: EntryId) -> int | None:
        """Return how many entries were ever added up to an id; None if deletions hide it."""
        if not self.added:
            return 0
        if not self.order and entry_id <= self.last_id:
            return self.added
        if entry_id != ZERO and entry_id < self.max_deleted_id:
            return None
        if entry_id == self.last_id:
            return self.added
        if entry_id > self.last_id:
            return None
        if self.max_deleted_id == ZERO or self.max_deleted_id < self.first_id:
            if entry_id < self.first_id:
                return self.added - len(self.order)
            if entry_id == self.first_id:
                return self.added - len(self.order) + 1
        return None

    def has_gap_from(self, entry_id: EntryId) -> bool:
        """Tell whether an entry at or after an id was deleted while older ones still exist."""
        if not self.order or self.max_deleted_id == ZERO:
            return False
        if self.first_id > self.max_deleted_id:
            return False
        return entry_id <= self.max_deleted_id

    def _cut(self, count: int) -> int:
        if count:
            for entry_id in self.order[:count]:
                del self.entries[entry_id]
            del self.order[:count]
        return count
