"""How far behind somebody is, by a real server: its replies as they are, its positions as it keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sagastream import Bus, connect
from sagastream.clock import server_ms
from sagastream.overload import Bound, Overload
from tests.trip import TripBooked

PREFIX = "overload:"
STREAM = "overload:{desk}:events:TripBooked"
BOUND = Bound(TripBooked, "hotel", timedelta(seconds=15))


@pytest.fixture
async def bus(server_url: str) -> AsyncIterator[Bus]:
    bus = connect(server_url, name="test", block=timedelta(seconds=1))
    yield bus
    await bus.writer.execute("DEL", STREAM)
    await bus.close()


async def test_the_oldest_unread_event_tells_how_far_behind_a_participant_is(bus: Bus) -> None:
    """Nothing there, unread, in time, read but not acknowledged: each as the server tells it."""
    overload = Overload([BOUND], bus=bus, prefix=PREFIX, every=timedelta(0))
    now_ms = await server_ms(bus.query)
    assert await overload.worst() is None

    for age_ms in (20_000, 10_000):
        await bus.writer.execute("XADD", STREAM, f"{now_ms - age_ms}-0", "type", "TripBooked")
    never_started = await overload.worst()
    await bus.writer.execute("XGROUP", "CREATE", STREAM, "hotel", "0")
    unread = await overload.worst()
    await bus.writer.execute("XREADGROUP", "GROUP", "hotel", "one", "COUNT", 1, "STREAMS", STREAM, ">")
    in_time = await overload.worst()

    assert never_started is not None
    assert unread is not None
    assert timedelta(seconds=20) <= never_started.age <= unread.age < timedelta(seconds=25)
    assert in_time is None


async def test_a_stream_that_is_none_hides_nothing_and_breaks_nothing(bus: Bus) -> None:
    """The server's own words for a wrong type are understood."""
    await bus.writer.execute("SET", STREAM, "not a stream")

    assert await Overload([BOUND], bus=bus, prefix=PREFIX, every=timedelta(0)).worst() is None
