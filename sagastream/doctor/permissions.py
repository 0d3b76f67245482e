"""Whether the server allows this user the commands of the library. Asks the server; executes none of them."""

from __future__ import annotations

from collections.abc import Iterator

from sagastream.bus import Command
from sagastream.doctor.finding import Finding, ok, problem
from sagastream.doctor.patient import Patient
from sagastream.errors import ReplyError
from sagastream.keys import COORDINATOR, GROUPS, STORE, TIMERS, Keys


async def permissions(patient: Patient) -> list[Finding]:
    """Report forbidden commands, for each owner's keys."""
    query = patient.bus.query
    try:
        user = str(await query.execute("ACL", "WHOAMI"))
        await query.execute("ACL", "DRYRUN", user, "PING")
    except ReplyError as error:
        return [ok("permissions", f"cannot be checked ({error.code}); only the test transaction above was tried")]
    found = []
    for owner in patient.owners:
        commands = list(needed(patient.keys.of(owner)))
        replies = await query.pipeline([("ACL", "DRYRUN", user, *command) for command in commands])
        told_of = zip(commands, replies, strict=True)
        refused = {str(command[0]): str(reply) for command, reply in told_of if reply != "OK"}
        if refused:
            told = f"user {user!r} may not {', '.join(refused)} under {patient.keys.of(owner).root!r}"
            allowed = " ".join(f"+{name.lower()}" for name in refused)
            help = f"redis-cli -u \"$REDIS_URL\" ACL SETUSER {user} '~{patient.settings.key_prefix}*' {allowed}"
            found.append(problem("permissions", told, help, about=owner))
    return found or [ok("permissions", f"user {user!r} may do everything that is needed")]


def needed(keys: Keys) -> Iterator[Command]:
    """Yield an example of every command that the library sends for an owner's keys."""
    stream, key, saga = keys.events("Any"), keys.key(STORE), keys.of(COORDINATOR)
    yield "EVALSHA", "0" * 40, 1, keys.root, ""
    yield "EVAL", "return 1", 1, keys.root, ""
    yield ("TIME",)
    yield "SCAN", 0, "MATCH", f"{keys.root}*"  # used by the full audit
    yield "XADD", stream, "*", "field", "value"
    yield "XGROUP", "CREATE", stream, keys.owner, "0", "MKSTREAM"
    yield "XREADGROUP", "GROUP", keys.owner, "any", "STREAMS", stream, ">"
    yield "XACK", stream, keys.owner, "0-1"
    yield "XAUTOCLAIM", stream, keys.owner, "any", 1, "0-0"
    yield "XCLAIM", stream, keys.owner, "any", 0, "0-1"
    yield "XINFO", "GROUPS", stream
    yield "XPENDING", stream, keys.owner
    yield "XTRIM", stream, "MINID", "0-1"
    yield "XRANGE", saga.requests(keys.owner), "-", "+"
    yield "XREVRANGE", stream, "+", "-"
    yield "XLEN", stream
    yield "XDEL", stream, "0-1"
    yield "XREAD", "STREAMS", stream, "$"
    yield "HSET", keys.key(GROUPS), "field", "value"
    yield "HSETNX", key, "field", "value"
    yield "HGET", key, "field"
    yield "HMGET", key, "field"
    yield "HGETALL", key
    yield "HKEYS", key
    yield "HLEN", key
    yield "HDEL", key, "field"
    yield "HINCRBY", key, "field", 1
    yield "TYPE", key
    yield "EXISTS", key
    yield "DEL", key
    yield "PEXPIRE", key, 1
    yield "RPUSH", key, "value"
    yield "LRANGE", key, 0, 0
    yield "ZADD", keys.key(TIMERS), 1, "member"
    yield "ZREM", keys.key(TIMERS), "member"
    yield "ZRANGE", keys.key(TIMERS), 0, 0
    yield "ZMSCORE", keys.key(TIMERS), "member"
    yield "ZCARD", keys.key(TIMERS)
    yield "ZCOUNT", keys.key(TIMERS), "-inf", "+inf"
