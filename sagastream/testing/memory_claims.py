"""Commands of the in-memory Redis that transfer pending entries to another consumer."""

from __future__ import annotations

from functools import lru_cache

from sagastream.errors import ReplyError
from sagastream.testing.memory_groups import the_group
from sagastream.testing.memory_keyspace import Args, Keyspace, Raw, integer, syntax_error
from sagastream.testing.memory_stream_log import ZERO, EntryId, Group, Pending, Stream
from sagastream.testing.memory_streams import entry_reply, id_text, interval, parse_id


class _Claim:
    """One consumer's claim on entries that have been idle long enough."""

    def __init__(self, stream: Stream, group: Group, consumer: bytes, now: int, min_idle: int) -> None:
        self.stream = stream
        self.group = group
        self.consumer = consumer
        self.now = now
        self.min_idle = min_idle

    def is_too_fresh(self, pending: Pending) -> bool:
        """Tell whether the entry has not been idle long enough."""
        return self.min_idle > 0 and self.now - pending.delivered_ms < self.min_idle

    def take(self, entry_id: EntryId, pending: Pending, *, only_id: bool = False, deliveries: int | None = None) -> Raw:
        """Assign an entry to the consumer, with a number of deliveries; return its part of the reply."""
        if deliveries is None:
            deliveries = pending.deliveries + (not only_id)
        self.group.hold(entry_id, Pending(self.consumer, self.now, deliveries))
        return id_text(entry_id) if only_id else entry_reply(entry_id, self.stream.entries[entry_id])


def xclaim(space: Keyspace, args: Args) -> Raw:
    """Answer ``XCLAIM key group consumer min-idle-ms id … [RETRYCOUNT n] [JUSTID]``."""
    stream, group = the_group(space, args[0], args[1])
    now = space.clock()
    claim = _Claim(stream, group, args[2], now, max(0, integer(args[3], "Invalid min-idle-time argument for XCLAIM")))
    ids, deliveries, only_ids = _claimed(args[4:])
    group.see(claim.consumer, now)
    reply: list[Raw] = []
    for entry_id in ids:
        pending = group.pending.get(entry_id)
        if entry_id not in stream.entries:
            group.release(entry_id)
        elif pending is not None and not claim.is_too_fresh(pending):
            reply.append(claim.take(entry_id, pending, only_id=only_ids, deliveries=deliveries))
    return reply


def xautoclaim(space: Keyspace, args: Args) -> Raw:
    """Answer ``XAUTOCLAIM key group consumer min-idle-ms start [COUNT n]``."""
    min_idle, low, count = _auto_claim(tuple(args[3:]))
    stream, group = the_group(space, args[0], args[1])
    now = space.clock()
    group.see(args[2], now)
    if not group.pending:
        return [b"0-0", [], []]
    claim = _Claim(stream, group, args[2], now, min_idle)
    held = [] if low is None else group.held(*low)
    attempts, looked = count * 10, 0
    claimed: list[Raw] = []
    lost: list[Raw] = []
    for entry_id in held:
        if not attempts or not count:
            break
        attempts -= 1
        looked += 1
        pending = group.pending[entry_id]
        if entry_id not in stream.entries:
            group.release(entry_id)
            lost.append(id_text(entry_id))
        elif claim.is_too_fresh(pending):
            continue
        else:
            claimed.append(claim.take(entry_id, pending))
        count -= 1
    cursor = held[looked] if looked < len(held) else ZERO
    return [id_text(cursor), claimed, lost]


@lru_cache(1024)
def _auto_claim(args: tuple[bytes, ...]) -> tuple[int, tuple[EntryId, EntryId] | None, int]:
    min_idle = max(0, integer(args[0], "Invalid min-idle-time argument for XAUTOCLAIM"))
    low = interval(args[1], b"+")
    if len(args) == 2:
        return min_idle, low, 100
    if len(args) != 4 or args[2].upper() != b"COUNT":
        raise syntax_error()
    count = integer(args[3])
    if count < 1:
        raise ReplyError("ERR", "COUNT must be > 0")
    return min_idle, low, count


def _claimed(args: Args) -> tuple[list[EntryId], int | None, bool]:
    """Return the claimed ids, the delivery count to set, and whether the reply holds ids only."""
    ids: list[EntryId] = []
    for at, text in enumerate(args):
        try:
            ids.append(parse_id(text))
        except ReplyError:
            options = [option.upper() for option in args[at:]]
            only_ids = options[-1] == b"JUSTID"
            told = options[:-1] if only_ids else options
            if told and (len(told) != 2 or told[0] != b"RETRYCOUNT"):
                raise ReplyError("ERR", f"Unrecognized XCLAIM option '{text.decode(errors='replace')}'") from None
            count = integer(told[1], "Invalid RETRYCOUNT option argument for XCLAIM") if told else None
            return ids, count, only_ids
    return ids, None, False
