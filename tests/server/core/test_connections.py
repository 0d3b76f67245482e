"""Connections are kept, and never trusted further than they go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sagastream.bus import Bus, RedisConnection
from sagastream.errors import ServerUnavailable
from tests.processes.until import until

NAME = "kept-for-this-test"


@pytest.fixture
async def alone(url: str) -> AsyncIterator[RedisConnection]:
    """Yield a connection of its own, that never sends anything twice."""
    alone = RedisConnection(url, name=NAME, timeout=timedelta(seconds=1), retries=0)
    yield alone
    await alone.close()


async def open_ones(bus: Bus, that: str = "") -> list[str]:
    """Return the ids of the clients of this name, as the server sees them; of ``that`` are those it says this of."""
    told = str(await bus.query.execute("CLIENT", "LIST")).splitlines()
    return [line.split()[0].removeprefix("id=") for line in told if f" name={NAME} " in line and that in line]


async def are_open(bus: Bus, count: int, *, that: str = "") -> None:
    """Wait until the server sees so many clients of this name: it hears of an end a while later."""

    async def ask() -> bool:
        return len(await open_ones(bus, that)) == count

    await until(ask, f"{count} connections")


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(bus: Bus, alone: RedisConnection) -> None:
    """Nothing was sent on it, so nobody need hear of it."""
    await alone.execute("PING")
    (id_,) = await open_ones(bus)

    await bus.query.execute("CLIENT", "KILL", "ID", id_)
    await are_open(bus, 0)

    assert await alone.execute("PING") == "PONG"


async def test_one_connection_serves_calls_that_follow_each_other(bus: Bus, alone: RedisConnection) -> None:
    """And as many as there are calls at once."""
    for _ in range(3):
        await alone.execute("PING")
    assert len(await open_ones(bus)) == 1

    await asyncio.gather(*(alone.execute("BLPOP", f"{NAME}-{at}", "0.2") for at in range(3)))

    assert len(await open_ones(bus)) == 3
    await alone.close()
    await are_open(bus, 0)


async def test_an_answer_that_comes_too_late_is_nobody_elses(alone: RedisConnection) -> None:
    """The connection it may still come over is closed."""
    await alone.execute("PING")

    with pytest.raises(ServerUnavailable, match="no answer within 1 s"):
        await alone.execute("BLPOP", NAME, "3")

    assert await alone.execute("ECHO", "mine") == "mine"


async def test_what_is_closed_in_the_middle_of_a_call_leaves_nothing_open(bus: Bus, alone: RedisConnection) -> None:
    """The call ends as it would have, and closes its connection itself."""
    call = asyncio.create_task(alone.execute("BLPOP", NAME, "0.3"))
    await are_open(bus, 1, that="cmd=blpop ")

    await alone.close()

    assert await call is None
    await are_open(bus, 0)
