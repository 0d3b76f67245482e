"""Commands of the in-memory Redis on streams as logs; groups are in ``memory_groups``.

``~`` in a trim is treated as ``=``: a server may keep more, so no test may rely on entries that survive here.
"""

from __future__ import annotations

from sagastream.errors import ReplyError
from sagastream.testing.memory_keyspace import Args, Keyspace, Raw, integer, options, syntax_error
from sagastream.testing.memory_stream_log import MAX, MAX_PART, ZERO, EntryId, Stream
from sagastream.testing.memory_stream_read import StreamRead

INVALID_ID = "Invalid stream ID specified as stream command argument"
TOO_SMALL = "The ID specified in XADD is equal or smaller than the target stream top item"


class _Trim:
    """How to trim a stream: by length or by id."""

    def __init__(self, by_length: bool, threshold: bytes) -> None:
        self.length = integer(threshold) if by_length else None
        if self.length is not None and self.length < 0:
            raise ReplyError("ERR", "The MAXLEN argument must be >= 0.")
        self.min_id = ZERO if by_length else parse_id(threshold)

    def apply(self, stream: Stream) -> int:
        """Trim; return how many entries were removed."""
        return stream.trim_before(self.min_id) if self.length is None else stream.trim_to(self.length)


def xadd(space: Keyspace, args: Args) -> Raw:
    """Answer ``XADD key [MAXLEN | MINID [= | ~] threshold] id field value …``."""
    trim, at = _trim(args, 1) if args[1].upper() in (b"MAXLEN", b"MINID") else (None, 1)
    fields = list(args[at + 1 :])
    if len(fields) < 2 or len(fields) % 2:
        raise ReplyError("ERR", "wrong number of arguments for 'xadd' command")
    wanted, any_seq = _wanted_id(args[at])
    if wanted == ZERO and not any_seq:
        raise ReplyError("ERR", "The ID specified in XADD must be greater than 0-0")
    key = args[0]
    stream = space.typed_or_new(key, Stream)
    entry_id = _next_id(stream, space.clock(), wanted, any_seq)
    stream.append(entry_id, fields)
    if trim is not None:
        trim.apply(stream)
    space.on_added(key, fields)
    space.wake(key)
    return id_text(entry_id)


def xlen(space: Keyspace, args: Args) -> Raw:
    """Answer ``XLEN key``."""
    stream = space.typed(args[0], Stream)
    return 0 if stream is None else len(stream.order)


def xrange(space: Keyspace, args: Args) -> Raw:
    """Answer ``XRANGE key low high [COUNT n]``."""
    return _range(space, args[0], args[1], args[2], args[3:], reverse=False)


def xrevrange(space: Keyspace, args: Args) -> Raw:
    """Answer ``XREVRANGE key high low [COUNT n]``."""
    return _range(space, args[0], args[2], args[1], args[3:], reverse=True)


def xread(space: Keyspace, args: Args) -> Raw:
    """Answer ``XREAD [COUNT n] [BLOCK ms] STREAMS key … id …``; never block; ``$`` is not supported."""
    reading = StreamRead(args)
    streams = [
        (key, space.typed(key, Stream), _read_from(text)) for key, text in zip(reading.keys, reading.ids, strict=True)
    ]
    found: list[Raw] = []
    for key, stream, after in streams:
        if stream is not None and (ids := stream.after(after, reading.count)):
            found.append([key, [entry_reply(entry_id, stream.entries[entry_id]) for entry_id in ids]])
    return found or None


def xdel(space: Keyspace, args: Args) -> Raw:
    """Answer ``XDEL key id …``."""
    stream = space.typed(args[0], Stream)
    if stream is None:
        return 0
    ids = [parse_id(text) for text in args[1:]]
    return sum(stream.delete(entry_id) for entry_id in ids)


def xtrim(space: Keyspace, args: Args) -> Raw:
    """Answer ``XTRIM key MAXLEN | MINID [= | ~] threshold``."""
    if args[1].upper() not in (b"MAXLEN", b"MINID"):
        raise syntax_error()
    trim, at = _trim(args, 1)
    if at != len(args):
        raise syntax_error()
    stream = space.typed(args[0], Stream)
    return 0 if stream is None else trim.apply(stream)


def parse_id(text: bytes, missing_seq: int = 0) -> EntryId:
    """Parse ``ms-seq`` or ``ms``."""
    ms, dash, seq = text.partition(b"-")
    return _id_part(ms), _id_part(seq) if dash else missing_seq


def id_text(entry_id: EntryId) -> bytes:
    """Format an id as in replies."""
    return b"%d-%d" % entry_id


def entry_reply(entry_id: EntryId, fields: list[bytes]) -> Raw:
    """Build the reply for one entry."""
    return [id_text(entry_id), [*fields]]


def interval(low: bytes, high: bytes) -> tuple[EntryId, EntryId] | None:
    """Parse the ends of a range, either of which may be exclusive; None for a range that is empty by itself."""
    first, last = _end(low, 0), _end(high, MAX_PART)
    if low[:1] == b"(":
        if first == MAX:
            raise ReplyError("ERR", "invalid start ID for the interval")
        first = _successor(first)
    if high[:1] == b"(":
        if last == ZERO:
            raise ReplyError("ERR", "invalid end ID for the interval")
        last = (last[0], last[1] - 1) if last[1] else (last[0] - 1, MAX_PART)
    return None if first > last else (first, last)


def _read_from(text: bytes) -> EntryId:
    if text == b"$":
        raise ReplyError("ERR", "the in-memory server knows no '$' in XREAD: name the last id instead")
    if text == b">":
        raise ReplyError(
            "ERR",
            "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )
    return parse_id(text)


def _range(space: Keyspace, key: bytes, low: bytes, high: bytes, rest: Args, *, reverse: bool) -> Raw:
    ends = interval(low, high)
    count: int | None = None
    if rest:
        if options(rest[:1]) != [b"COUNT"] or len(rest) != 2:
            raise syntax_error()
        count = max(0, integer(rest[1]))
    stream = space.typed(key, Stream)
    if stream is None:
        return []
    if count == 0:
        return None
    ids = [] if ends is None else stream.between(*ends)
    if reverse:
        ids = ids[::-1]
    return [entry_reply(entry_id, stream.entries[entry_id]) for entry_id in ids[:count]]


def _trim(args: Args, at: int) -> tuple[_Trim, int]:
    by_length = args[at].upper() == b"MAXLEN"
    at += 2 if args[at + 1] in (b"~", b"=") else 1
    if at >= len(args):
        raise syntax_error()
    return _Trim(by_length, args[at]), at + 1


def _wanted_id(text: bytes) -> tuple[EntryId | None, bool]:
    if text == b"*":
        return None, True
    if text.endswith(b"-*"):
        return (_id_part(text[:-2]), 0), True
    return parse_id(text), False


def _next_id(stream: Stream, now_ms: int, wanted: EntryId | None, any_seq: bool) -> EntryId:
    last = stream.last_id
    if wanted is None:
        if now_ms > last[0]:
            return now_ms, 0
        if last == MAX:
            raise ReplyError("ERR", TOO_SMALL)
        return _successor(last)
    if last == MAX:
        raise ReplyError("ERR", "The stream has exhausted the last possible ID, unable to add more items")
    if any_seq and wanted[0] == last[0]:
        if last[1] == MAX_PART:
            raise ReplyError("ERR", TOO_SMALL)
        return _successor(last)
    if wanted <= last:
        raise ReplyError("ERR", TOO_SMALL)
    return wanted


def _successor(entry_id: EntryId) -> EntryId:
    return (entry_id[0], entry_id[1] + 1) if entry_id[1] < MAX_PART else (entry_id[0] + 1, 0)


def _end(text: bytes, missing_seq: int) -> EntryId:
    is_open = text[:1] == b"("
    text = text[1:] if is_open else text
    if text == b"-" and not is_open:
        return ZERO
    if text == b"+" and not is_open:
        return MAX
    return parse_id(text, missing_seq)


def _id_part(text: bytes) -> int:
    if text.isdigit() and (text[:1] != b"0" or len(text) == 1):
        value = int(text)
        if value <= MAX_PART:
            return value
    raise ReplyError("ERR", INVALID_ID)
