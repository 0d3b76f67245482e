"""Trimming and forgetting consumers, as the servers really answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sagastream.bus import Bus
from sagastream.keys import Keys
from sagastream.reaping import reap
from sagastream.trimming import Keeping, Trimming
from tests.processes.until import until

OLD = [f"{1_600_000_000_000 + number}-0" for number in range(500)]
AT_ONCE = Keeping(read=timedelta(0), unread=timedelta(days=6))


async def filled(bus: Bus, stream: str, *groups: str) -> None:
    """Fill a stream with old entries, read by groups that begin at its start."""
    await bus.writer.pipeline([("XADD", stream, entry, "n", "1") for entry in OLD])
    for group in groups:
        await bus.writer.execute("XGROUP", "CREATE", stream, group, "0")


async def read(bus: Bus, stream: str, group: str, count: int, *, acknowledge: bool = True) -> None:
    """Read so many entries as a group."""
    await bus.reader.execute("XREADGROUP", "GROUP", group, "one", "COUNT", count, "STREAMS", stream, ">")
    if acknowledge:
        await bus.writer.execute("XACK", stream, group, *OLD[:count])


async def test_a_stream_is_trimmed_behind_the_slowest_group(bus: Bus, keys: Keys) -> None:
    """Whole nodes go; nothing that the slower group has still to read is among them."""
    stream = keys.key("events:StockReserved")
    await filled(bus, stream, "saga", "payment")
    trimming = Trimming(bus, keys, ["events:StockReserved"], AT_ONCE)
    await read(bus, stream, "saga", 500)
    await read(bus, stream, "payment", 250)

    assert await trimming.trim() == 200
    reply = await bus.query.execute("XRANGE", stream, OLD[250], OLD[250])

    assert reply == [[OLD[250], ["n", "1"]]]


async def test_an_entry_somebody_holds_is_not_trimmed(bus: Bus, keys: Keys) -> None:
    """Read by all, acknowledged by one only."""
    stream = keys.key("events:StockReserved")
    await filled(bus, stream, "saga", "payment")
    await read(bus, stream, "saga", 500)
    await read(bus, stream, "payment", 500, acknowledge=False)

    assert await Trimming(bus, keys, ["events:StockReserved"], AT_ONCE).trim() == 0


async def test_streams_that_never_were_are_passed_over(bus: Bus, keys: Keys) -> None:
    """A participant is declared to publish more than it ever did."""
    assert await Trimming(bus, keys, ["events:Never", "events:Ever"], AT_ONCE).trim() == 0


async def test_a_stream_without_readers_is_trimmed_by_age(bus: Bus, keys: Keys) -> None:
    """Old announcements go though nobody read them; whole nodes, so some may stay."""
    stream = keys.key("events:SagaCompleted")
    await filled(bus, stream)
    await bus.writer.execute("XADD", stream, "*", "n", "fresh")

    assert await Trimming(bus, keys, ["events:SagaCompleted"], AT_ONCE).trim() >= 400
    newest = await bus.query.execute("XREVRANGE", stream, "+", "-", "COUNT", 1)

    assert isinstance(newest, list)
    assert str(newest).endswith("['n', 'fresh']]]")


async def test_a_silent_consumer_is_forgotten_only_when_it_holds_nothing(bus: Bus, keys: Keys) -> None:
    """The look and the deletion are one script, whatever was claimed in between."""
    stream = keys.key("events:StockReserved")
    await filled(bus, stream, "saga")
    await read(bus, stream, "saga", 10, acknowledge=False)

    assert await reap(bus, [stream, keys.key("none")], "saga", silent=timedelta(0)) == 0
    await bus.writer.execute("XACK", stream, "saga", *OLD[:10])
    assert await reap(bus, [stream], "saga", silent=timedelta(hours=1)) == 0
    assert await reap(bus, [stream], "saga", silent=timedelta(0)) == 1
    assert await bus.query.execute("XINFO", "CONSUMERS", stream, "saga") == []


async def test_who_waits_and_is_forgotten_meanwhile_is_handed_what_comes_all_the_same(bus: Bus, keys: Keys) -> None:
    """Before Redis 7.2 whoever waits long is as silent as the dead; what it is handed must be its own to settle."""
    stream = keys.key("events:StockReserved")
    await bus.writer.execute("XGROUP", "CREATE", stream, "saga", "0", "MKSTREAM")
    await bus.writer.execute("XGROUP", "CREATECONSUMER", stream, "saga", "one")
    read = ("XREADGROUP", "GROUP", "saga", "one", "BLOCK", 5000, "STREAMS", stream, ">")
    waiting = asyncio.create_task(bus.reader.execute(*read))

    async def waits() -> bool:
        return "blocked_clients:0" not in str(await bus.query.execute("INFO", "clients"))

    await until(waits, "the reader waits")

    forgotten = await reap(bus, [stream], "saga", silent=timedelta(0))
    await bus.writer.execute("XADD", stream, "1-1", "n", "1")

    assert forgotten == 1
    assert await waiting == [[stream, [["1-1", ["n", "1"]]]]]
    assert await bus.query.execute("XPENDING", stream, "saga") == [1, "1-1", "1-1", [["one", "1"]]]
