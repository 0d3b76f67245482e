"""A store grows by what is missing, and fresh sagas beside the stored ones are told apart from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.asyncio as redis

from bench.growth import cost, settle, stored_until
from bench.meter import Meter
from bench.stored import STORIES
from sagastream.embedded import EmbeddedServer

FULL = 1 << 16  # keys; Redis doubles a table of so many places when one more comes

pytestmark = [pytest.mark.server, pytest.mark.processes]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Start a server of its own."""
    with EmbeddedServer(tmp_path) as server:
        yield server.url


async def test_a_store_grows_to_a_size_by_what_is_missing(url: str) -> None:
    """Every stored saga takes memory, most of a saga's is not its history."""
    await stored_until(url, 150, 0)
    stored, took, history = await stored_until(url, 400, 150)

    assert len(stored) == 400
    assert {life.status for life in stored} <= set(STORIES)
    assert took > history > 0


async def test_sagas_that_run_beside_stored_ones_are_counted_alone(url: str) -> None:
    """Those that had ended before are no throughput."""
    await stored_until(url, 150, 0)

    first, second = await cost(url, 20, "first"), await cost(url, 20, "second")

    assert min(first.server_us, second.server_us) > 0 < min(first.python_us, second.python_us)
    async with Meter(url) as meter:
        ended = await meter.until_ended(0, within_s=0)
    assert ended.sagas > 40


async def test_what_doubles_the_table_of_keys_is_over_before_anything_is_measured(url: str) -> None:
    """The server moves a doubled table a little with every command, for which those that come next would pay."""
    async with redis.from_url(url) as client, Meter(url) as meter:
        await meter.set("activerehashing", "no")
        await client.mset({f"key:{at}": "" for at in range(FULL)})
        await meter.end_rehashing()
        await client.set("one-more", "")
        doubling = await _bytes_of_table(client)

        await settle(url, 2, "settling")

        assert await _bytes_of_table(client) < doubling


async def _bytes_of_table(client: redis.Redis) -> int:
    told = await client.memory_stats()
    return int(told["db.0"]["overhead.hashtable.main"])
