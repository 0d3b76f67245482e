"""The command table of the in-memory Redis: each command and its number of arguments."""

from __future__ import annotations

from collections.abc import Callable

from sagastream.testing import memory_claims as claims
from sagastream.testing import memory_collections as collections
from sagastream.testing import memory_groups as groups
from sagastream.testing import memory_sorted_sets as sorted_sets
from sagastream.testing import memory_stream_info as stream_info
from sagastream.testing import memory_streams as streams
from sagastream.testing import memory_strings as strings
from sagastream.testing.memory_keyspace import Args, Keyspace, Raw

Handler = Callable[[Keyspace, Args], Raw]

MANY = 1_000_000

COMMANDS: dict[bytes, tuple[Handler, int, int]] = {
    b"PING": (strings.ping, 0, 1),
    b"TIME": (strings.time, 0, 0),
    b"TYPE": (strings.type_, 1, 1),
    b"EXISTS": (strings.exists, 1, MANY),
    b"DEL": (strings.delete, 1, MANY),
    b"GET": (strings.get, 1, 1),
    b"SET": (strings.set_, 2, 4),
    b"PEXPIRE": (strings.pexpire, 2, 2),
    b"PTTL": (strings.pttl, 1, 1),
    b"KEYS": (strings.keys, 1, 1),
    b"SCAN": (strings.scan, 1, MANY),
    b"DBSIZE": (strings.dbsize, 0, 0),
    b"FLUSHALL": (strings.flushall, 0, 1),
    b"INFO": (strings.info, 0, MANY),
    b"CONFIG": (strings.config, 2, MANY),
    b"HGET": (collections.hget, 2, 2),
    b"HMGET": (collections.hmget, 2, MANY),
    b"HGETALL": (collections.hgetall, 1, 1),
    b"HSET": (collections.hset, 3, MANY),
    b"HSETNX": (collections.hsetnx, 3, 3),
    b"HDEL": (collections.hdel, 2, MANY),
    b"HINCRBY": (collections.hincrby, 3, 3),
    b"HEXISTS": (collections.hexists, 2, 2),
    b"HLEN": (collections.hlen, 1, 1),
    b"RPUSH": (collections.rpush, 2, MANY),
    b"LRANGE": (collections.lrange, 3, 3),
    b"LLEN": (collections.llen, 1, 1),
    b"ZADD": (sorted_sets.zadd, 3, MANY),
    b"ZREM": (sorted_sets.zrem, 2, MANY),
    b"ZSCORE": (sorted_sets.zscore, 2, 2),
    b"ZMSCORE": (sorted_sets.zmscore, 2, MANY),
    b"ZCARD": (sorted_sets.zcard, 1, 1),
    b"ZCOUNT": (sorted_sets.zcount, 3, 3),
    b"ZRANGE": (sorted_sets.zrange, 3, MANY),
    b"ZRANGEBYSCORE": (sorted_sets.zrangebyscore, 3, MANY),
    b"ZREVRANGEBYSCORE": (sorted_sets.zrevrangebyscore, 3, MANY),
    b"XADD": (streams.xadd, 4, MANY),
    b"XLEN": (streams.xlen, 1, 1),
    b"XRANGE": (streams.xrange, 3, MANY),
    b"XREVRANGE": (streams.xrevrange, 3, MANY),
    b"XDEL": (streams.xdel, 2, MANY),
    b"XTRIM": (streams.xtrim, 3, MANY),
    b"XGROUP": (groups.xgroup, 1, MANY),
    b"XREAD": (streams.xread, 3, MANY),
    b"XREADGROUP": (groups.xreadgroup, 6, MANY),
    b"XACK": (groups.xack, 3, MANY),
    b"XPENDING": (groups.xpending, 2, 5),
    b"XCLAIM": (claims.xclaim, 5, MANY),
    b"XAUTOCLAIM": (claims.xautoclaim, 5, MANY),
    b"XINFO": (stream_info.xinfo, 1, MANY),
}
