"""A timer that has run out is told of once everything published by then has been read and settled."""

from __future__ import annotations

import asyncio

import pytest

from sagastream.bus import Bus, Reply
from sagastream.clock import server_ms
from sagastream.keys import TIMERS, Keys
from sagastream.script import packaged

GROUP = "saga"


class Place:
    """Two streams, what must be empty, and three timers: one run out long ago, one just now, one in an hour."""

    def __init__(self, bus: Bus, keys: Keys) -> None:
        self.bus = bus
        self.timers, self.parked = keys.key(TIMERS), keys.key("parked")
        self.streams = [keys.key("events:One"), keys.key("events:Two")]

    async def prepare(self) -> None:
        """Make the groups, and set the timers."""
        for stream in self.streams:
            await self.run("XADD", stream, "1-0", "n", "1")
            await self.run("XGROUP", "CREATE", stream, GROUP, "0")
            await self.read(stream)
            await self.run("XACK", stream, GROUP, "1-0")
        self.now_ms = await server_ms(self.bus.query)
        for saga_id, at_ms in (("old", 1000), ("now", self.now_ms), ("later", self.now_ms + 3_600_000)):
            await self.run("ZADD", self.timers, at_ms, saga_id)
        await asyncio.sleep(0.002)

    async def run(self, *command: str | int) -> Reply:
        """Send a command."""
        return await self.bus.writer.execute(*command)

    async def read(self, stream: str, group: str = GROUP) -> None:
        """Take everything there is to read."""
        await self.run("XREADGROUP", "GROUP", group, "one", "STREAMS", stream, ">")

    async def look(self, skip: int = 0, most: int = 10) -> list[Reply]:
        """Return what the script says of the timers: how far all is settled, what limits it, whose time has come."""
        keys = [self.timers, *self.streams, self.parked]
        reply = await packaged("due.lua").run(self.bus.query, keys, GROUP, len(self.streams), skip, most)
        assert isinstance(reply, list)
        now_ms, first_ms, *rest = reply
        assert abs(int(str(now_ms)) - await server_ms(self.bus.query)) < 1000
        assert first_ms is not None
        return rest


@pytest.fixture
async def place(bus: Bus, keys: Keys) -> Place:
    place = Place(bus, keys)
    await place.prepare()
    return place


async def test_what_has_run_out_is_told_where_everything_is_settled(place: Place) -> None:
    _, behind, due = await place.look()

    assert (behind, due) == (None, ["old", "now"])
    assert (await place.look(skip=1))[2] == ["now"]
    assert (await place.look(most=1))[2] == ["old"]


async def test_nothing_is_told_while_no_timer_has_run_out(place: Place) -> None:
    await place.run("ZREM", place.timers, "old", "now")

    assert await place.look() == []


async def test_no_timer_is_told_later_than_the_last_that_was_read(place: Place) -> None:
    """Who reads may be far behind: what it has not read may say that a step was done in time."""
    await place.run("XADD", place.streams[1], "5000-1", "n", "2")
    await place.read(place.streams[1])
    await place.run("XACK", place.streams[1], GROUP, "5000-1")
    await place.run("XADD", place.streams[1], "*", "n", "3")

    assert await place.look() == [4999, place.streams[1], ["old"]]


async def test_no_timer_is_told_later_than_what_is_in_hand(place: Place) -> None:
    await place.run("XADD", place.streams[0], "900-1", "n", "2")
    await place.read(place.streams[0])

    assert await place.look() == [899, place.streams[0], []]


async def test_what_is_in_hand_is_not_told_to_limit_anything_where_it_holds_no_timer_back(place: Place) -> None:
    await place.run("XADD", place.streams[0], "*", "n", "2")
    await place.read(place.streams[0])

    assert (await place.look())[1:] == [None, ["old", "now"]]


async def test_another_groups_reading_counts_for_nothing(place: Place) -> None:
    await place.run("XGROUP", "CREATE", place.streams[0], "another", "0")
    await place.run("XADD", place.streams[0], "900-1", "n", "2")
    await place.read(place.streams[0], "another")

    assert await place.look() == [0, place.streams[0], []]


async def test_what_was_trimmed_before_the_group_began_is_not_waited_for(place: Place) -> None:
    await place.run("XADD", place.streams[0], "5000-1", "n", "2")
    await place.run("XTRIM", place.streams[0], "MAXLEN", 0)

    assert (await place.look())[2] == ["old", "now"]


@pytest.mark.parametrize("loss", [("DEL",), ("XGROUP", "DESTROY")], ids=["stream", "group"])
async def test_nothing_is_told_while_a_stream_or_its_group_is_missing(loss: tuple[str, ...], place: Place) -> None:
    """It begins again from the start, and may hold anything."""
    await place.run(*loss, place.streams[1], *([GROUP] if len(loss) > 1 else []))

    assert await place.look() == [0, place.streams[1], []]


async def test_nothing_is_told_while_events_are_parked(place: Place) -> None:
    await place.run("XADD", place.parked, "*", "message", "{}")

    assert await place.look() == [0, place.parked, []]
