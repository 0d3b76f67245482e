"""A primary that becomes a replica keeps its clients; whoever goes on asking it finds nothing but that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from sagastream.bus import Bus, connect
from sagastream.embedded import EmbeddedServer
from sagastream.errors import ServerUnavailable
from tests.processes.until import until
from tests.processes.wire import Wire

NOWHERE = ("127.0.0.1", "1")  # a primary that is never reached: the replica stays as it is


@dataclass(frozen=True)
class Pair:
    """One address that leads to ``old`` until it is told to lead to ``new``; ``bus`` goes by the address."""

    bus: Bus
    old: Bus
    new: Bus
    wire: Wire
    new_port: int

    async def take_over(self) -> None:
        """Let the new server take the old one's place; no connection is closed by that."""
        self.wire.lead_to(self.new_port)
        await self.old.query.execute("REPLICAOF", *NOWHERE)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Yield two servers behind one address."""
    with EmbeddedServer(tmp_path / "old") as old, EmbeddedServer(tmp_path / "new") as new:
        async with Wire(old.port) as wire:
            block = timedelta(seconds=20)
            bus, there, here = (connect(url, name="demoted", block=block) for url in (wire.url, old.url, new.url))
            yield Pair(bus, there, here, wire, new.port)
            for each in (bus, there, here):
                await each.close()


async def test_who_is_told_that_a_server_became_a_replica_asks_the_address_anew(pair: Pair) -> None:
    """Whoever asks only the name learns where it leads now; the old server would refuse for ever."""
    await pair.bus.writer.execute("SET", "where", "old")
    await pair.take_over()

    with pytest.raises(ServerUnavailable):
        await pair.bus.writer.execute("SET", "where", "new")
    await pair.bus.writer.execute("SET", "where", "new")

    assert await pair.new.query.execute("GET", "where") == "new"


async def test_who_only_reads_goes_where_the_writers_of_its_process_go(pair: Pair) -> None:
    """A replica answers reads, and would tell of the past; who decides by it would be refused again and again."""
    await pair.bus.writer.execute("SET", "where", "old")
    assert await pair.bus.query.execute("GET", "where") == "old"
    await pair.take_over()

    with pytest.raises(ServerUnavailable):
        await pair.bus.writer.execute("SET", "where", "new")
    await pair.new.query.execute("SET", "where", "new")

    assert await pair.bus.query.execute("GET", "where") == "new"


async def test_a_read_that_began_before_it_is_not_the_last_on_its_connection(pair: Pair) -> None:
    """Its answer counts, but the connection leads to the old server."""
    await pair.bus.writer.execute("SET", "where", "old")
    await pair.new.query.execute("SET", "where", "new")
    answer = pair.wire.set("demoted", b"GET", at_reply=True, holds=True)
    under_way = asyncio.create_task(pair.bus.query.execute("GET", "where"))
    await answer.caught()
    await pair.take_over()

    with pytest.raises(ServerUnavailable):
        await pair.bus.writer.execute("SET", "where", "new")
    answer.release()

    assert await under_way == "old"
    assert await pair.bus.query.execute("GET", "where") == "new"


async def test_what_was_connected_before_the_address_moved_is_left_once_a_write_arrives(pair: Pair) -> None:
    """Between the old server's demotion and the address's move, readers find the replica once more and keep it."""
    await pair.bus.writer.execute("SET", "where", "old")
    await pair.new.query.execute("SET", "where", "new")
    await pair.old.query.execute("REPLICAOF", *NOWHERE)
    with pytest.raises(ServerUnavailable):
        await pair.bus.writer.execute("SET", "last", "old")
    assert await pair.bus.query.execute("GET", "where") == "old"

    pair.wire.lead_to(pair.new_port)
    await pair.bus.writer.execute("SET", "last", "new")

    assert await pair.bus.query.execute("GET", "where") == "new"


async def test_a_blocked_read_that_ends_with_its_servers_office_is_trouble_of_the_server(pair: Pair) -> None:
    """It is no refusal of what was asked: nobody has to mend anything."""
    await pair.bus.reader.execute("XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM")
    read = asyncio.create_task(
        pair.bus.reader.execute("XREADGROUP", "GROUP", "group", "me", "BLOCK", "20000", "STREAMS", "stream", ">")
    )

    async def is_blocked() -> bool:
        return "blocked_clients:1" in str(await pair.old.query.execute("INFO", "clients"))

    await until(is_blocked, "the read waits")

    await pair.take_over()

    with pytest.raises(ServerUnavailable, match="UNBLOCKED"):
        await read
    assert await pair.bus.query.execute("EXISTS", "stream") == 0  # and those that only read leave it, too


@pytest.mark.parametrize(
    "answered",
    [("reader", "XREAD", "STREAMS", "news", "0"), ("writer", "EVAL", "return 1", 0), ("query", "GET", "where")],
    ids=["a read that may block", "a script that writes nothing", "nothing"],
)
async def test_what_a_replica_answers_keeps_nobody_there(pair: Pair, answered: tuple[str, ...]) -> None:
    """It answers whatever writes nothing; whoever took that for a primary's answer would read of the past for ever."""
    await pair.bus.writer.execute("SET", "where", "old")
    await pair.new.query.execute("SET", "where", "new")
    await pair.old.query.execute("REPLICAOF", *NOWHERE)
    with pytest.raises(ServerUnavailable):
        await pair.bus.writer.execute("SET", "where", "refused")
    by, *command = answered
    await getattr(pair.bus, by).execute(*command)
    assert await pair.bus.query.execute("GET", "where") == "old"

    pair.wire.lead_to(pair.new_port)
    await pair.bus.writer.execute("SET", "written", "new")

    assert await pair.bus.query.execute("GET", "where") == "new"
    assert await pair.new.query.execute("GET", "written") == "new"


async def test_an_answer_from_before_does_not_hide_that_it_became_a_replica(pair: Pair) -> None:
    """A write that was taken just before is told of just after; what was connected in between leads to the replica."""
    await pair.bus.writer.execute("SET", "where", "old")
    await pair.new.query.execute("SET", "where", "new")
    answer = pair.wire.set("demoted", b"SET", b"before", at_reply=True, holds=True)
    under_way = asyncio.create_task(pair.bus.writer.execute("SET", "before", "1"))
    await answer.caught()
    await pair.old.query.execute("REPLICAOF", *NOWHERE)
    with pytest.raises(ServerUnavailable):
        await pair.bus.writer.execute("SET", "where", "refused")
    answer.release()
    assert await under_way == "OK"
    assert await pair.bus.query.execute("GET", "where") == "old"

    pair.wire.lead_to(pair.new_port)
    await pair.bus.writer.execute("SET", "written", "new")

    assert await pair.bus.query.execute("GET", "where") == "new"


async def test_who_finds_a_replica_at_the_address_stays_no_longer_than_it_leads_there(pair: Pair) -> None:
    """Started anew as a replica, it was left by all; who only reads comes back before the address has moved."""
    await pair.old.query.execute("SET", "where", "old")
    await pair.new.query.execute("SET", "where", "new")
    await pair.old.query.execute("REPLICAOF", *NOWHERE)
    assert await pair.bus.query.execute("GET", "where") == "old"

    pair.wire.lead_to(pair.new_port)

    assert await pair.bus.query.execute("GET", "where") == "new"


async def test_who_only_reads_leaves_a_server_that_says_of_itself_that_it_is_a_replica(pair: Pair) -> None:
    """Whether a process is ready is asked again and again; where nobody writes nothing else would ever tell it."""
    await pair.old.query.execute("SET", "where", "old")
    await pair.new.query.execute("SET", "where", "new")
    assert await pair.bus.query.execute("GET", "where") == "old"
    await pair.take_over()

    assert "role:slave" in str(await pair.bus.query.execute("INFO"))

    assert await pair.bus.query.execute("GET", "where") == "new"
