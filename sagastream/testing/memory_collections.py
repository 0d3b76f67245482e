"""Commands of the in-memory Redis on hashes and lists."""

from __future__ import annotations

from sagastream.errors import ReplyError
from sagastream.testing.memory_keyspace import Args, Hash, Keyspace, List, Raw, added, integer

# hashes


def hget(space: Keyspace, args: Args) -> Raw:
    """Answer ``HGET key field``."""
    found = space.typed(args[0], Hash)
    return None if found is None else found.get(args[1])


def hmget(space: Keyspace, args: Args) -> Raw:
    """Answer ``HMGET key field …``."""
    found = space.typed(args[0], Hash)
    if found is None:
        return [None] * (len(args) - 1)
    return [found.get(field) for field in args[1:]]


def hgetall(space: Keyspace, args: Args) -> Raw:
    """Answer ``HGETALL key``."""
    flat: list[Raw] = []
    for pair in (space.typed(args[0], Hash) or Hash()).items():
        flat.extend(pair)
    return flat


def hset(space: Keyspace, args: Args) -> Raw:
    """Answer ``HSET key field value …``."""
    if len(args) % 2 == 0:
        raise ReplyError("ERR", "wrong number of arguments for 'hset' command")
    found = space.typed_or_new(args[0], Hash)
    before = len(found)
    for at in range(1, len(args), 2):
        found[args[at]] = args[at + 1]
    return len(found) - before


def hsetnx(space: Keyspace, args: Args) -> Raw:
    """Answer ``HSETNX key field value``."""
    found = space.typed_or_new(args[0], Hash)
    if args[1] in found:
        return 0
    found[args[1]] = args[2]
    return 1


def hdel(space: Keyspace, args: Args) -> Raw:
    """Answer ``HDEL key field …``."""
    found = space.typed(args[0], Hash)
    if found is None:
        return 0
    before = len(found)
    for field in args[1:]:
        found.pop(field, None)
    removed = before - len(found)
    space.vanish_if_empty(args[0], found)
    return removed


def hincrby(space: Keyspace, args: Args) -> Raw:
    """Answer ``HINCRBY key field step``."""
    step = integer(args[2])
    found = space.typed(args[0], Hash)
    old = None if found is None else found.get(args[1])
    total = added(0 if old is None else integer(old, "hash value is not an integer"), step)
    space.typed_or_new(args[0], Hash)[args[1]] = b"%d" % total
    return total


def hexists(space: Keyspace, args: Args) -> Raw:
    """Answer ``HEXISTS key field``."""
    return int(args[1] in (space.typed(args[0], Hash) or Hash()))


def hlen(space: Keyspace, args: Args) -> Raw:
    """Answer ``HLEN key``."""
    return len(space.typed(args[0], Hash) or ())


# lists


def rpush(space: Keyspace, args: Args) -> Raw:
    """Answer ``RPUSH key value …``."""
    found = space.typed_or_new(args[0], List)
    found.extend(args[1:])
    return len(found)


def lrange(space: Keyspace, args: Args) -> Raw:
    """Answer ``LRANGE key first last``."""
    first, last = integer(args[1]), integer(args[2])
    found = space.typed(args[0], List) or List()
    reply: list[Raw] = [*found[span(first, last, len(found))]]
    return reply


def llen(space: Keyspace, args: Args) -> Raw:
    """Answer ``LLEN key``."""
    return len(space.typed(args[0], List) or ())


def span(first: int, last: int, length: int) -> slice:
    """Turn inclusive indexes, negative ones from the end, into a slice."""
    start = max(0, first + length if first < 0 else first)
    stop = (last + length if last < 0 else last) + 1
    return slice(start, max(start, stop))
