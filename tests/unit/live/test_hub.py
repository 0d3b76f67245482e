"""One reader of the feed for all followers of a process, however they come and go."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import cast

from sagastream.live.feed import Changes, Feed
from sagastream.live.hub import Hub
from sagastream.live.mailbox import Mailbox
from sagastream.live.messages import Batch, Wanted
from sagastream.live.pulse import PulseView
from sagastream.live.source import Source
from tests.unit.core.world import in_virtual_time


class AnsweredWhileCancelled:
    """A feed whose first wait is answered in the instant in which it is cancelled: redis-py loses the cancellation.

    Nothing ever changes; ``asked`` are the positions after which something was asked for.
    """

    def __init__(self) -> None:
        self.waits = 0
        self.is_waiting = asyncio.Event()
        self.asked: list[str] = []

    async def end(self) -> str:
        return f"{self.waits + 1}-0"

    async def wait(self, position: str, longest: timedelta) -> None:
        self.waits += 1
        self.is_waiting.set()
        try:
            await asyncio.sleep(longest.total_seconds())
        except asyncio.CancelledError:
            if self.waits > 1:
                raise

    async def since(self, position: str) -> Changes:
        self.asked.append(position)
        return Changes(position, ())


class Quiet:
    """A source of which nothing is wanted."""

    def forget(self) -> None: ...

    async def batch(self, changes: Changes) -> Batch:
        raise AssertionError("nothing changed")

    async def pulse(self) -> PulseView:
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits that long")


@in_virtual_time
async def test_a_reader_that_outlives_its_cancellation_ends_and_leaves_the_next_one_alone() -> None:
    """The last follower goes while a read is being answered, and another comes before the reader has noticed."""
    feed = AnsweredWhileCancelled()
    hub = Hub(cast(Feed, feed), cast(Source, Quiet()), 5)
    with hub.joined(Mailbox(Wanted())):
        first = await hub.position()
        await feed.is_waiting.wait()

    with hub.joined(Mailbox(Wanted())):
        second = await hub.position()
        await asyncio.sleep(3.5)
        readers = [task for task in asyncio.all_tasks() if task.get_name() == "live: changes"]

    assert "" not in feed.asked
    assert set(feed.asked) <= {first, second}
    assert len(readers) == 1
