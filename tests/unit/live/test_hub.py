"""One reader of the feed for all followers of a process, however they come and go."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import cast

import pytest

from sagastream.live.feed import Changes, Feed
from sagastream.live.hub import Ended, Hub
from sagastream.live.mailbox import Mailbox
from sagastream.live.messages import Batch, Change, Wanted
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


class FailsOnce(AnsweredWhileCancelled):
    """A feed that cannot be read once, for a reason nobody foresaw; afterwards a saga changes all the time."""

    async def wait(self, position: str, longest: timedelta) -> None:
        await asyncio.sleep(0.01)

    async def since(self, position: str) -> Changes:
        self.asked.append(position)
        if len(self.asked) == 1:
            raise ValueError("a status of a later version")
        return Changes(f"{len(self.asked)}-0", ("saga-1",))


class Telling(Quiet):
    """A source that tells of every saga that it is gone."""

    async def batch(self, changes: Changes) -> Batch:
        return Batch(changes.position, dict.fromkeys(changes.sagas, Change()))


@in_virtual_time
async def test_who_comes_after_the_reader_failed_is_told_what_changes() -> None:
    """Even while a client that was there before is so slow that it has not gone yet."""
    hub = Hub(cast(Feed, FailsOnce()), cast(Source, Telling()), 5)
    slow, fresh = Mailbox(Wanted()), Mailbox(Wanted())
    with hub.joined(slow):
        await asyncio.sleep(1)
        assert slow.is_ended
        with hub.joined(fresh):
            await hub.position()
            async with asyncio.timeout(10):
                told = await fresh.take()

    assert b'"gone":["saga-1"]' in told[0]
    assert not fresh.is_ended


class NeverAnswers(AnsweredWhileCancelled):
    """A feed whose end nobody tells."""

    async def end(self) -> str:
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits that long")


class Unreadable(Quiet):
    """A source whose figures cannot be read, for a reason nobody foresaw."""

    async def pulse(self) -> PulseView:
        raise ValueError("a figure of a later version")


@in_virtual_time
async def test_who_waits_for_a_reader_that_failed_before_it_began_is_sent_away() -> None:
    """Nobody would ever tell them where they stand; who is sent away comes back."""
    hub = Hub(cast(Feed, NeverAnswers()), cast(Source, Unreadable()), 5)
    mailbox = Mailbox(Wanted())

    with hub.joined(mailbox):
        async with asyncio.timeout(10):
            with pytest.raises(Ended):
                await hub.position()

    assert mailbox.is_ended
