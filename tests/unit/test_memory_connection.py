"""The in-memory Redis keeps time and waits like a server, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from sagastream.bus import Argument, Command, Connection, Reply
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from sagastream.testing.virtual_time import Deadlock, VirtualTimeLoop, run

READ: tuple[Argument, ...] = ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 5000, "STREAMS", "s", "t", ">", ">")


def connected() -> MemoryConnection:
    """Return a connection to a new server on the running loop's clock, group ``g`` made."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    server = MemoryServer(loop.epoch_ms)
    for stream in ("s", "t"):
        server.call("XGROUP", "CREATE", stream, "g", "0", "MKSTREAM")
    return MemoryConnection(server)


def now() -> float:
    """Return the virtual time."""
    return asyncio.get_running_loop().time()


def test_a_blocked_read_wakes_when_an_entry_arrives() -> None:
    """The reader of several streams gets the entry at the instant it was added."""

    async def main() -> tuple[Reply, float]:
        redis: Connection = connected()
        reader = asyncio.create_task(redis.execute(*READ))
        await asyncio.sleep(2)
        await redis.execute("XADD", "t", "7-1", "f", "v")
        return await reader, now()

    assert run(main()) == ([["t", [["7-1", ["f", "v"]]]]], 2.0)


def test_a_blocked_read_ends_when_its_time_is_over() -> None:
    """Nothing came: the answer is nothing, after exactly the block time."""

    async def main() -> tuple[Reply, float]:
        return await connected().execute(*READ), now()

    assert run(main()) == (None, 5.0)


def test_one_entry_wakes_two_members_and_goes_to_one() -> None:
    """The member that found the entry taken goes on waiting, to the end of its own time."""

    async def main() -> list[Reply]:
        redis = connected()
        readers = [asyncio.create_task(redis.execute(*READ)) for _ in range(2)]
        await asyncio.sleep(1)
        await redis.execute("XADD", "s", "1-0", "f", "v")
        replies = [await reader for reader in readers]
        assert now() == 5.0
        return replies

    assert run(main()) == [[["s", [["1-0", ["f", "v"]]]]], None]


def test_a_blocked_read_hears_that_its_group_is_gone() -> None:
    """A reader does not wait for a group that was destroyed."""

    async def main() -> None:
        redis = connected()
        reader = asyncio.create_task(redis.execute(*READ))
        await asyncio.sleep(1)
        await redis.execute("XGROUP", "DESTROY", "s", "g")
        with pytest.raises(ReplyError, match="NOGROUP"):
            await reader
        assert now() == 1.0

    run(main())


def test_blocking_for_ever_on_a_silent_stream_is_a_deadlock() -> None:
    """``BLOCK 0`` sets no timer."""

    async def main() -> None:
        await connected().execute("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")

    with pytest.raises(Deadlock):
        run(main())


def test_a_lost_reply_leaves_the_command_done() -> None:
    """What ``after`` loses has happened; what ``before`` loses has not."""

    async def lose(command: Command) -> None:
        raise ServerUnavailable("lost")

    async def main() -> list[Reply | ReplyError]:
        redis = connected()
        with pytest.raises(ServerUnavailable):
            await MemoryConnection(redis.server, after=lose).execute("HINCRBY", "done", "times", 1)
        with pytest.raises(ServerUnavailable):
            await MemoryConnection(redis.server, before=lose).execute("HINCRBY", "never", "times", 1)
        return await redis.pipeline([("HGET", "done", "times"), ("GET", "done"), ("GET", "never")])

    done, error, never = run(main())
    assert (done, never) == ("1", None)
    assert isinstance(error, ReplyError)
    assert error.code == "WRONGTYPE"


def test_a_key_expires_when_its_time_is_over() -> None:
    """Expiry follows the virtual clock."""

    async def main() -> list[Reply]:
        redis = connected()
        await redis.execute("SET", "k", "v", "PX", 1000)
        await asyncio.sleep(0.9)
        before = [await redis.execute("GET", "k"), await redis.execute("PTTL", "k")]
        await asyncio.sleep(0.2)
        return [*before, await redis.execute("GET", "k"), await redis.execute("PTTL", "k")]

    assert run(main()) == ["v", 100, None, -2]


def test_automatic_ids_never_go_back_with_the_clock() -> None:
    """A clock that is set back does not make an older entry."""
    instants = iter((5000, 5000, 3000, 5001))
    server = MemoryServer(lambda: next(instants))

    ids = [server.call("XADD", "s", "*", "f", "v") for _ in range(4)]

    assert ids == ["5000-0", "5000-1", "5000-2", "5001-0"]


def test_a_script_is_known_to_one_server_only() -> None:
    """Compiling once per process does not load a script into other servers."""
    first, second = MemoryServer(lambda: 0), MemoryServer(lambda: 0)
    sha = first.call("SCRIPT", "LOAD", "return ARGV[1]")

    assert first.call("EVALSHA", str(sha), 0, b"bytes \xff come back") == "bytes \udcff come back"
    with pytest.raises(ReplyError, match="NOSCRIPT"):
        second.call("EVALSHA", str(sha), 0)
    first.forget_scripts()
    with pytest.raises(ReplyError, match="NOSCRIPT"):
        first.call("EVALSHA", str(sha), 0)
