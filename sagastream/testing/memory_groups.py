"""Commands of the in-memory Redis on consumer groups: reading, acknowledging, claiming."""

from __future__ import annotations

from sagastream.errors import ReplyError
from sagastream.testing.memory_keyspace import OK, Args, Keyspace, Raw, syntax_error
from sagastream.testing.memory_stream_log import ZERO, EntryId, Group, Pending, Stream
from sagastream.testing.memory_stream_read import StreamRead, group_read
from sagastream.testing.memory_streams import entry_reply, id_text, parse_id

NEEDS_KEY = (
    "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the "
    "MKSTREAM option to create an empty stream automatically."
)


def xgroup(space: Keyspace, args: Args) -> Raw:
    """Answer ``XGROUP CREATE | SETID | DESTROY | DELCONSUMER key group …``."""
    if len(args) == 5 and args[0] == b"CREATE" and args[3] == b"0" and args[4] == b"MKSTREAM":
        known = space.values.get(args[1])  # fast path: every start creates its groups, which mostly exist already
        if type(known) is Stream and args[2] in known.groups:
            raise ReplyError("BUSYGROUP", "Consumer Group name already exists")
    word = args[0].upper()
    sizes = {b"CREATE": 4, b"SETID": 4, b"DESTROY": 3, b"DELCONSUMER": 4}
    if word not in sizes:
        raise ReplyError("ERR", f"unknown subcommand '{args[0].decode(errors='replace')}'. Try XGROUP HELP.")
    if len(args) < sizes[word] or (len(args) > sizes[word] and word != b"CREATE"):
        raise ReplyError("ERR", f"wrong number of arguments for 'xgroup|{word.decode().lower()}' command")
    make = len(args) > 4
    if make and [option.upper() for option in args[4:]] != [b"MKSTREAM"]:
        raise syntax_error()
    key, name = args[1], args[2]
    stream = space.typed(key, Stream)
    if stream is None and not make:
        raise ReplyError("ERR", NEEDS_KEY)
    last_id = ZERO if stream is None else stream.last_id
    if word in (b"CREATE", b"SETID") and args[3] != b"$":
        last_id = parse_id(args[3])
    if stream is None:
        stream = space.values[key] = Stream()
    group = stream.groups.get(name)
    if word == b"CREATE":
        if group is not None:
            raise ReplyError("BUSYGROUP", "Consumer Group name already exists")
        stream.groups[name] = Group(last_id)
        return OK
    if word == b"DESTROY":
        if group is None:
            return 0
        del stream.groups[name]
        space.wake(key)
        return 1
    if group is None:
        raise _no_such_group(name, key)
    if word == b"SETID":
        group.last_id, group.entries_read = last_id, None
        return OK
    return _delete_consumer(group, args[3])


def xreadgroup(space: Keyspace, args: Args) -> Raw:
    """Answer ``XREADGROUP GROUP group consumer [COUNT n] STREAMS key … id …``; never block."""
    reading = group_read(tuple(args))
    if reading.position != b"GROUP":
        raise ReplyError("ERR", "Missing GROUP option for XREADGROUP")
    now, name, streams, expiries = space.clock(), reading.group, space.values, space.expiries
    found: list[tuple[bytes, Stream, Group, EntryId | None]] = []
    for key, text in zip(reading.keys, reading.ids, strict=True):
        stream = streams.get(key)
        if type(stream) is not Stream or key in expiries:
            stream = space.typed(key, Stream)
        group = None if stream is None else stream.groups.get(name)
        if stream is None or group is None:
            raise ReplyError(
                "NOGROUP",
                f"No such key '{_shown(key)}' or consumer group '{_shown(name)}' in XREADGROUP with GROUP option",
            )
        found.append((key, stream, group, None if text == b">" else parse_id(text)))
    reply: list[Raw] = []
    for key, stream, group, after in found:
        group.see(reading.consumer, now)
        if after is not None:
            reply.append([key, _history(stream, group, reading, after, now)])
        elif stream.last_id > group.last_id and stream.order and (fresh := _deliver(stream, group, reading, now)):
            reply.append([key, fresh])
    return reply or None


def xack(space: Keyspace, args: Args) -> Raw:
    """Answer ``XACK key group id …``."""
    stream = space.typed(args[0], Stream)
    group = None if stream is None else stream.groups.get(args[1])
    if group is None:
        return 0
    ids = [parse_id(text) for text in args[2:]]
    return sum(group.release(entry_id) for entry_id in ids)


def xpending(space: Keyspace, args: Args) -> Raw:
    """Answer ``XPENDING key group``, the summary, or ``XPENDING key group from to count``, the list of entries."""
    group = the_group(space, args[0], args[1])[1]
    if len(args) > 2:
        return _each_pending(group, args, space.clock())
    if not group.pending:
        return [0, None, None, None]
    names = {pending.consumer: None for pending in group.pending.values()}
    consumers: list[Raw] = [[name, b"%d" % group.held_by(name)] for name in sorted(names)]
    return [len(group.pending), id_text(group.held_order[0]), id_text(group.held_order[-1]), consumers]


def _each_pending(group: Group, args: Args, now: int) -> Raw:
    if len(args) != 5:
        raise syntax_error()
    ids = group.held(parse_id(args[2]), parse_id(args[3]))[: int(args[4])]
    each = [(entry_id, group.pending[entry_id]) for entry_id in ids]
    return [[id_text(at), held.consumer, now - held.delivered_ms, held.deliveries] for at, held in each]


def the_group(space: Keyspace, key: bytes, name: bytes) -> tuple[Stream, Group]:
    """Return a stream and one of its groups.

    Raises: ReplyError ``NOGROUP`` when either is missing.
    """
    stream = space.typed(key, Stream)
    group = None if stream is None else stream.groups.get(name)
    if stream is None or group is None:
        raise ReplyError("NOGROUP", f"No such key '{_shown(key)}' or consumer group '{_shown(name)}'")
    return stream, group


def _deliver(stream: Stream, group: Group, reading: StreamRead, now: int) -> list[Raw]:
    reply: list[Raw] = []
    for entry_id in stream.after(group.last_id, reading.count):
        is_counted = group.entries_read is not None and group.last_id >= stream.first_id
        if group.entries_read is not None and is_counted and not stream.has_gap_from(entry_id):
            group.entries_read += 1
        else:
            group.entries_read = stream.position(entry_id)
        group.last_id = entry_id
        group.hold(entry_id, Pending(reading.consumer, now))
        reply.append(entry_reply(entry_id, stream.entries[entry_id]))
    return reply


def _history(stream: Stream, group: Group, reading: StreamRead, after: EntryId, now: int) -> list[Raw]:
    reply: list[Raw] = []
    for entry_id in group.held(after):
        pending = group.pending[entry_id]
        if entry_id == after or pending.consumer != reading.consumer:
            continue
        if len(reply) == reading.count:
            break
        fields = stream.entries.get(entry_id)
        if fields is None:
            reply.append([id_text(entry_id), None])
        else:
            pending.delivered_ms = now
            pending.deliveries += 1
            reply.append(entry_reply(entry_id, fields))
    return reply


def _delete_consumer(group: Group, name: bytes) -> int:
    lost = [entry_id for entry_id, pending in group.pending.items() if pending.consumer == name]
    for entry_id in lost:
        group.release(entry_id)
    group.consumers.pop(name, None)
    return len(lost)


def _no_such_group(name: bytes, key: bytes) -> ReplyError:
    return ReplyError("NOGROUP", f"No such consumer group '{_shown(name)}' for key name '{_shown(key)}'")


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
