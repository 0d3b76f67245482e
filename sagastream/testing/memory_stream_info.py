"""XINFO of the in-memory Redis: the state of a stream, its groups and its consumers."""

from __future__ import annotations

from sagastream.errors import ReplyError
from sagastream.testing.memory_keyspace import Args, Keyspace, Raw
from sagastream.testing.memory_stream_log import EntryId, Group, Stream
from sagastream.testing.memory_streams import entry_reply, id_text

_SIZES = {b"STREAM": 2, b"GROUPS": 2, b"CONSUMERS": 3}


def xinfo(space: Keyspace, args: Args) -> Raw:
    """Answer ``XINFO STREAM key | GROUPS key | CONSUMERS key group``."""
    word = args[0].upper()
    size = _SIZES.get(word)
    if size is None:
        raise ReplyError("ERR", f"unknown subcommand '{args[0].decode(errors='replace')}'. Try XINFO HELP.")
    if len(args) != size:
        raise ReplyError("ERR", f"wrong number of arguments for 'xinfo|{word.decode().lower()}' command")
    stream = space.typed(args[1], Stream)
    if stream is None:
        raise ReplyError("ERR", "no such key")
    if word == b"STREAM":
        return _stream(stream)
    if word == b"GROUPS":
        return [_group(stream, name, stream.groups[name]) for name in sorted(stream.groups)]
    group = stream.groups.get(args[2])
    if group is None:
        name, key = (part.decode("utf-8", "surrogateescape") for part in (args[2], args[1]))
        raise ReplyError("NOGROUP", f"No such consumer group '{name}' for key name '{key}'")
    return [_consumer(group, name, space.clock()) for name in sorted(group.consumers)]


def _stream(stream: Stream) -> Raw:
    """Build the reply of XINFO STREAM; the two sizes of its radix tree are made up."""
    return [
        b"length", len(stream.order),
        b"radix-tree-keys", 1 if stream.order else 0,
        b"radix-tree-nodes", 2 if stream.order else 1,
        b"last-generated-id", id_text(stream.last_id),
        b"max-deleted-entry-id", id_text(stream.max_deleted_id),
        b"entries-added", stream.added,
        b"recorded-first-entry-id", id_text(stream.first_id),
        b"groups", len(stream.groups),
        b"first-entry", _entry(stream, stream.order[0] if stream.order else None),
        b"last-entry", _entry(stream, stream.order[-1] if stream.order else None),
    ]  # fmt: skip


def _group(stream: Stream, name: bytes, group: Group) -> Raw:
    return [
        b"name", name,
        b"consumers", len(group.consumers),
        b"pending", len(group.pending),
        b"last-delivered-id", id_text(group.last_id),
        b"entries-read", group.entries_read,
        b"lag", stream.lag(group),
    ]  # fmt: skip


def _consumer(group: Group, name: bytes, now: int) -> Raw:
    idle = max(0, now - group.consumers[name])
    return [b"name", name, b"pending", group.held_by(name), b"idle", idle]


def _entry(stream: Stream, entry_id: EntryId | None) -> Raw:
    return None if entry_id is None else entry_reply(entry_id, stream.entries[entry_id])
