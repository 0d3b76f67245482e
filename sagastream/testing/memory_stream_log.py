"""What a stream of the in-memory Redis consists of: entries, groups, and who holds what unacknowledged.

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
    """One entry delivered to a consumer and not acknowledged."""

    __slots__ = ("consumer", "delivered_ms", "deliveries")

    def __init__(self, consumer: bytes, delivered_ms: int, deliveries: int = 1) -> None:
        self.consumer = consumer
        self.delivered_ms = delivered_ms
        self.deliveries = deliveries


class Group:
    """A consumer group: how far it has read, and what it has not acknowledged."""

    __slots__ = ("consumers", "entries_read", "held_order", "last_id", "pending")

    def __init__(self, last_id: EntryId) -> None:
        self.last_id = last_id
        self.entries_read: int | None = None
        self.consumers: dict[bytes, int] = {}  # name → when it was seen last
        self.pending: dict[EntryId, Pending] = {}
        self.held_order: list[EntryId] = []

    def hold(self, entry_id: EntryId, pending: Pending) -> None:
        """Note an entry as delivered and not acknowledged; whoever held it before loses it."""
        if entry_id not in self.pending:
            insort(self.held_order, entry_id)
        self.pending[entry_id] = pending

    def release(self, entry_id: EntryId) -> bool:
        """Forget a pending entry; say whether it was pending."""
        if self.pending.pop(entry_id, None) is None:
            return False
        del self.held_order[bisect_left(self.held_order, entry_id)]
        return True

    def held(self, low: EntryId, high: EntryId = MAX) -> list[EntryId]:
        """Return the ids of pending entries between two ids, both included."""
        order = self.held_order
        return order[bisect_left(order, low) : bisect_right(order, high)]

    def see(self, name: bytes, now_ms: int) -> None:
        """Note that a consumer was seen, which makes it if it was unknown."""
        self.consumers[name] = now_ms

    def held_by(self, name: bytes) -> int:
        """Count what one consumer has not acknowledged."""
        return sum(pending.consumer == name for pending in self.pending.values())


class Stream:
    """An append-only log with groups; it stays when it becomes empty."""

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
        """The id of the first entry; zero when there is none."""
        return self.order[0] if self.order else ZERO

    def append(self, entry_id: EntryId, fields: list[bytes]) -> None:
        """Add an entry whose id is known to be the greatest."""
        self.entries[entry_id] = fields
        self.order.append(entry_id)
        self.last_id = entry_id
        self.added += 1

    def delete(self, entry_id: EntryId) -> bool:
        """Remove one entry; say whether it was there."""
        if self.entries.pop(entry_id, None) is None:
            return False
        del self.order[bisect_left(self.order, entry_id)]
        self.max_deleted_id = max(self.max_deleted_id, entry_id)
        return True

    def trim_to(self, length: int) -> int:
        """Remove the oldest entries until at most ``length`` are left; return how many went."""
        return self._cut(max(0, len(self.order) - length))

    def trim_before(self, entry_id: EntryId) -> int:
        """Remove entries older than an id; return how many went."""
        return self._cut(bisect_left(self.order, entry_id))

    def between(self, low: EntryId, high: EntryId = MAX) -> list[EntryId]:
        """Return the ids of entries between two ids, both included."""
        return self.order[bisect_left(self.order, low) : bisect_right(self.order, high)]

    def after(self, entry_id: EntryId, count: int | None = None) -> list[EntryId]:
        """Return the ids of the entries that follow an id."""
        start = bisect_right(self.order, entry_id)
        return self.order[start : None if count is None else start + count]

    def lag(self, group: Group) -> int | None:
        """Return how many entries a group has still to read; None when that cannot be told."""
        if not self.added:
            return 0
        if group.entries_read is not None and not self.has_gap_from(group.last_id):
            return self.added - group.entries_read
        read = self.position(group.last_id)
        return None if read is None else self.added - read

    def position(self, entry_id: EntryId) -> int | None:
        """Return how many entries were ever added up to an id; None when deletions hide it."""
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
        """Say whether an entry at or after an id was deleted while older ones are still there."""
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
