"""Commands of the in-memory Redis that give a pending entry to another consumer."""

from __future__ import annotations

from functools import lru_cache

from sagastream.errors import ReplyError
from sagastream.testing.memory_groups import the_group
from sagastream.testing.memory_keyspace import Args, Keyspace, Raw, integer, syntax_error
from sagastream.testing.memory_stream_log import ZERO, EntryId, Group, Pending, Stream
from sagastream.testing.memory_streams import entry_reply, id_text, interval, parse_id


class _Claim:
    """One consumer's claim: what it demands, and what it writes into the pending entry."""

    def __init__(self, stream: Stream, group: Group, consumer: bytes, now: int, min_idle: int) -> None:
        self.stream = stream
        self.group = group
        self.consumer = consumer
        self.now = now
        self.min_idle = min_idle
        self.delivered_ms = now
        self.deliveries: int | None = None
        self.is_forced = False
        self.only_ids = False

    def is_too_fresh(self, pending: Pending) -> bool:
        """Say whether the entry has not been idle for long enough."""
        return self.min_idle > 0 and self.now - pending.delivered_ms < self.min_idle

    def take(self, entry_id: EntryId, pending: Pending | None) -> Raw:
        """Hold an entry from now on; return what the reply says of it."""
        count = 1 if pending is None else pending.deliveries
        if self.deliveries is not None:
            count = self.deliveries
        elif not self.only_ids:
            count += 1
        self.group.hold(entry_id, Pending(self.consumer, self.delivered_ms, count))
        return id_text(entry_id) if self.only_ids else entry_reply(entry_id, self.stream.entries[entry_id])


def xclaim(space: Keyspace, args: Args) -> Raw:
    """Answer ``XCLAIM key group consumer min-idle id … [IDLE | TIME | RETRYCOUNT | LASTID n] [FORCE] …``."""
    stream, group = the_group(space, args[0], args[1])
    now = space.clock()
    claim = _Claim(stream, group, args[2], now, max(0, integer(args[3], "Invalid min-idle-time argument for XCLAIM")))
    ids, at = _leading_ids(args[4:])
    last_id = _xclaim_options(claim, args[4 + at :])
    if last_id is not None and last_id > group.last_id:
        group.last_id = last_id
    group.see(claim.consumer, now)
    reply: list[Raw] = []
    for entry_id in ids:
        pending = group.pending.get(entry_id)
        if entry_id not in stream.entries:
            group.release(entry_id)
        elif pending is not None:
            if not claim.is_too_fresh(pending):
                reply.append(claim.take(entry_id, pending))
        elif claim.is_forced:
            reply.append(claim.take(entry_id, None))
    return reply


def xautoclaim(space: Keyspace, args: Args) -> Raw:
    """Answer ``XAUTOCLAIM key group consumer min-idle-ms start [COUNT n] [JUSTID]``."""
    min_idle, low, count, only_ids = _auto_claim(tuple(args[3:]))
    stream, group = the_group(space, args[0], args[1])
    now = space.clock()
    group.see(args[2], now)
    if not group.pending:
        return [b"0-0", [], []]
    claim = _Claim(stream, group, args[2], now, min_idle)
    claim.only_ids = only_ids
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
def _auto_claim(args: tuple[bytes, ...]) -> tuple[int, tuple[EntryId, EntryId] | None, int, bool]:
    min_idle = max(0, integer(args[0], "Invalid min-idle-time argument for XAUTOCLAIM"))
    low = interval(args[1], b"+")
    count, only_ids, at = 100, False, 2
    while at < len(args):
        word = args[at].upper()
        if word == b"COUNT" and at + 1 < len(args):
            at += 1
            count = integer(args[at])
            if count < 1:
                raise ReplyError("ERR", "COUNT must be > 0")
        elif word == b"JUSTID":
            only_ids = True
        else:
            raise syntax_error()
        at += 1
    return min_idle, low, count, only_ids


def _leading_ids(args: Args) -> tuple[list[EntryId], int]:
    ids: list[EntryId] = []
    for at, text in enumerate(args):
        try:
            ids.append(parse_id(text))
        except ReplyError:
            return ids, at
    return ids, len(args)


def _xclaim_options(claim: _Claim, args: Args) -> EntryId | None:
    last_id: EntryId | None = None
    at = 0
    while at < len(args):
        word = args[at].upper()
        if word == b"FORCE":
            claim.is_forced = True
        elif word == b"JUSTID":
            claim.only_ids = True
        elif word in (b"IDLE", b"TIME", b"RETRYCOUNT", b"LASTID") and at + 1 < len(args):
            at += 1
            if word == b"IDLE":
                claim.delivered_ms = claim.now - integer(args[at], "Invalid IDLE option argument for XCLAIM")
            elif word == b"TIME":
                claim.delivered_ms = integer(args[at], "Invalid TIME option argument for XCLAIM")
            elif word == b"RETRYCOUNT":
                claim.deliveries = max(0, integer(args[at], "Invalid RETRYCOUNT option argument for XCLAIM"))
            else:
                last_id = parse_id(args[at])
        else:
            raise ReplyError("ERR", f"Unrecognized XCLAIM option '{args[at].decode(errors='replace')}'")
        at += 1
    if not 0 <= claim.delivered_ms <= claim.now:
        claim.delivered_ms = claim.now
    return last_id
