"""What one owner knows of its store: the mark it was born with."""

from __future__ import annotations

import asyncio

import pytest

from sagastream.bus import Argument, Bus, Reply
from sagastream.keys import Keys
from sagastream.store import StoreMark, WrongStore
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer


async def test_of_two_looks_the_one_that_saw_a_store_before_it_was_born_may_be_answered_last() -> None:
    """Seed 18627: an order and its cancellation looked at once, while a worker marked the new store in between."""
    replies: list[asyncio.Future[Reply]] = [asyncio.get_running_loop().create_future() for _ in range(3)]
    asked = iter(replies)

    class Query(MemoryConnection):
        async def execute(self, *_: Argument) -> Reply:
            return await next(asked)

    query = Query(MemoryServer(lambda: 0))
    mark = StoreMark(Bus(query, query, query), Keys("", "desk"))
    first, second = asyncio.create_task(mark.look()), asyncio.create_task(mark.look())
    await asyncio.sleep(0)
    replies[1].set_result(["1", "born-once"])
    await second
    replies[0].set_result([None, None])

    await first

    assert mark.born == "born-once"
    replies[2].set_result([None, None])
    with pytest.raises(WrongStore, match="is gone"):
        await mark.look()
