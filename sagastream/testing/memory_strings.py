"""Commands of the in-memory Redis on keys of any type, on strings and on the server itself."""

from __future__ import annotations

import re

from sagastream.errors import ReplyError
from sagastream.testing.memory_keyspace import (
    INT64_MAX,
    OK,
    Args,
    Hash,
    Keyspace,
    List,
    Raw,
    SortedSet,
    Status,
    integer,
    syntax_error,
)
from sagastream.testing.memory_stream_log import Stream

TYPE_NAMES: dict[type, Status] = {
    type(None): Status(b"none"),
    bytes: Status(b"string"),
    Hash: Status(b"hash"),
    List: Status(b"list"),
    SortedSet: Status(b"zset"),
    Stream: Status(b"stream"),
}


def ping(space: Keyspace, args: Args) -> Raw:
    """Answer ``PING [message]``."""
    return args[0] if args else Status(b"PONG")


def time(space: Keyspace, args: Args) -> Raw:
    """Answer ``TIME``."""
    seconds, millis = divmod(space.clock(), 1000)
    return [b"%d" % seconds, b"%d" % (millis * 1000)]


def type_(space: Keyspace, args: Args) -> Raw:
    """Answer ``TYPE key``."""
    return TYPE_NAMES[type(space.look_up(args[0]))]


def exists(space: Keyspace, args: Args) -> Raw:
    """Answer ``EXISTS key …``."""
    return sum(space.look_up(key) is not None for key in args)


def delete(space: Keyspace, args: Args) -> Raw:
    """Answer ``DEL key …``."""
    return sum(space.look_up(key) is not None and space.remove(key) for key in args)


def get(space: Keyspace, args: Args) -> Raw:
    """Answer ``GET key``."""
    return space.typed(args[0], bytes)


def set_(space: Keyspace, args: Args) -> Raw:
    """Answer ``SET key value [PX ms]``."""
    key, value, *rest = args
    if rest and (len(rest) != 2 or rest[0].upper() != b"PX"):
        raise syntax_error()
    due = _due(space, rest[1], "set", must_be_positive=True) if rest else None
    if type(space.look_up(key)) is not bytes:
        space.remove(key)
    space.values[key] = value
    space.expiries.pop(key, None)
    if due is not None:
        space.expiries[key] = due
    return OK


def pexpire(space: Keyspace, args: Args) -> Raw:
    """Answer ``PEXPIRE key ms``."""
    due = _due(space, args[1], "pexpire", must_be_positive=False)
    if space.look_up(args[0]) is None:
        return 0
    if due <= space.clock():
        space.remove(args[0])
    else:
        space.expiries[args[0]] = due
    return 1


def pttl(space: Keyspace, args: Args) -> Raw:
    """Answer ``PTTL key``."""
    if space.look_up(args[0]) is None:
        return -2
    due = space.expiries.get(args[0])
    return -1 if due is None else max(0, due - space.clock())


def keys(space: Keyspace, args: Args) -> Raw:
    """Answer ``KEYS pattern``."""
    fits = _glob(args[0])
    return [key for key in space.live_keys() if fits.fullmatch(key)]


def scan(space: Keyspace, args: Args) -> Raw:
    """Answer with all keys at once: a cursor of 0 is always a valid end."""
    if integer(args[0]) < 0:
        raise ReplyError("ERR", "invalid cursor")
    pattern = b"*"
    for at in range(1, len(args), 2):
        word = args[at].upper()
        if at + 1 == len(args):
            raise syntax_error()
        if word == b"MATCH":
            pattern = args[at + 1]
        elif word == b"COUNT":
            if integer(args[at + 1]) < 1:
                raise syntax_error()
        else:
            raise syntax_error()
    fits = _glob(pattern)
    return [b"0", [key for key in space.live_keys() if fits.fullmatch(key)]]


def dbsize(space: Keyspace, args: Args) -> Raw:
    """Answer ``DBSIZE``."""
    return len(space.live_keys())


def flushall(space: Keyspace, args: Args) -> Raw:
    """Answer ``FLUSHALL``."""
    space.clear()
    return OK


def info(space: Keyspace, args: Args) -> Raw:
    """Answer ``INFO``."""
    told = "redis_version:7.0.15", "server_name:sagastream-memory", "redis_mode:standalone", f"run_id:{space.run_id}"
    return "".join(f"{line}\r\n" for line in ("# Server", *told)).encode()


def config(space: Keyspace, args: Args) -> Raw:
    """Answer ``CONFIG GET`` with nothing, like a server that hides its configuration."""
    if args[0].upper() != b"GET":
        raise ReplyError("ERR", f"unknown subcommand '{args[0].decode()}'. Try CONFIG HELP.")
    return []


def _due(space: Keyspace, text: bytes, command: str, *, must_be_positive: bool) -> int:
    amount = integer(text)
    now = space.clock()
    if (must_be_positive and amount <= 0) or abs(amount) > INT64_MAX - now:
        raise ReplyError("ERR", f"invalid expire time in '{command}' command")
    return now + amount


def _glob(pattern: bytes) -> re.Pattern[bytes]:
    parts: list[bytes] = []
    for token in re.findall(rb"\\.|\[\^?[^\]]*\]|.", pattern, re.DOTALL):
        if token == b"*":
            parts.append(b".*")
        elif token == b"?":
            parts.append(b".")
        elif token[:1] == b"[" and len(token) > 1:
            parts.append(token)
        else:
            parts.append(re.escape(token[-1:]))
    return re.compile(b"".join(parts), re.DOTALL)
