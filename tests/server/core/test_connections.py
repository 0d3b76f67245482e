"""Connections are kept, and never trusted further than they go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sagastream.bus import Bus, RedisConnection
from sagastream.errors import ServerUnavailable

NAME = "kept-for-this-test"


@pytest.fixture
async def alone(url: str) -> AsyncIterator[RedisConnection]:
    """Yield a connection of its own, that never sends anything twice."""
    alone = RedisConnection(url, name=NAME, timeout=timedelta(seconds=1), retries=0)
    yield alone
    await alone.close()


async def open_ones(bus: Bus) -> list[str]:
    """Return the ids of the clients of this name, as the server sees them."""
    told = str(await bus.query.execute("CLIENT", "LIST")).splitlines()
    return [line.split()[0].removeprefix("id=") for line in told if f" name={NAME} " in line]


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(bus: Bus, alone: RedisConnection) -> None:
    """Nothing was sent on it, so nobody need hear of it."""
    await alone.execute("PING")
    (id_,) = await open_ones(bus)

    await bus.query.execute("CLIENT", "KILL", "ID", id_)
    await asyncio.sleep(0.05)

    assert await alone.execute("PING") == "PONG"


async def test_one_connection_serves_calls_that_follow_each_other(bus: Bus, alone: RedisConnection) -> None:
    """And as many as there are calls at once."""
    for _ in range(3):
        await alone.execute("PING")
    assert len(await open_ones(bus)) == 1

    await asyncio.gather(*(alone.execute("BLPOP", f"{NAME}-{at}", "0.2") for at in range(3)))

    assert len(await open_ones(bus)) == 3
    await alone.close()
    await asyncio.sleep(0.05)
    assert await open_ones(bus) == []


async def test_an_answer_that_comes_too_late_is_nobody_elses(alone: RedisConnection) -> None:
    """The connection it may still come over is closed."""
    await alone.execute("PING")

    with pytest.raises(ServerUnavailable, match="no answer within 1 s"):
        await alone.execute("BLPOP", NAME, "3")

    assert await alone.execute("ECHO", "mine") == "mine"


async def test_what_is_closed_in_the_middle_of_a_call_leaves_nothing_open(bus: Bus, alone: RedisConnection) -> None:
    """The call ends as it would have, and closes its connection itself."""
    call = asyncio.create_task(alone.execute("BLPOP", NAME, "0.3"))
    await asyncio.sleep(0.1)

    await alone.close()

    assert await call is None
    await asyncio.sleep(0.05)
    assert await open_ones(bus) == []
