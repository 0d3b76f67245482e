"""A position in the feed counts only while everything after it is certainly there."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sagastream.keys import CHANGES, COORDINATOR
from sagastream.live.feed import MOST_SAGAS, START, Changes, Feed
from tests.unit.core.world import World, in_virtual_time


class Slot:
    """A coordinator's slot whose feed a test writes by hand."""

    def __init__(self) -> None:
        self.world = World()
        self.feed = Feed(self.world.wire().bus, self.world.keys)

    def mention(self, *sagas: str, id: str = "*", most: int = 1_000_000) -> str:
        """Append an entry as the script does; return its position."""
        told = ("MAXLEN", most, id, "names", " ".join(sagas))
        return str(self.world.call("XADD", COORDINATOR, CHANGES, *told))


@in_virtual_time
async def test_what_changed_after_a_position_is_each_saga_once() -> None:
    slot = Slot()
    first = slot.mention("one")
    slot.mention("two", "three")
    last = slot.mention("two", "four")

    assert await slot.feed.since(first) == Changes(last, ("two", "three", "four"))
    assert await slot.feed.since(last) == Changes(last, ())
    assert await slot.feed.end() == last


@in_virtual_time
async def test_a_feed_in_which_nothing_ever_changed_is_read_from_its_start() -> None:
    slot = Slot()
    assert (await slot.feed.end(), await slot.feed.since(START)) == (START, Changes(START, ()))

    last = slot.mention("one")

    assert await slot.feed.since(START) == Changes(last, ("one",))


@in_virtual_time
async def test_a_position_that_was_trimmed_is_not_known_any_more() -> None:
    slot = Slot()
    first = slot.mention("one")
    slot.mention("two", most=1)

    assert await slot.feed.since(first) is None


@in_virtual_time
async def test_a_position_the_server_lost_is_not_known_any_more() -> None:
    """Whether it began anew, or only its last writes are missing, and whatever was written since."""
    slot = Slot()
    slot.mention("one", id="5-0")
    lost = "7-0"

    assert await slot.feed.since(lost) is None
    slot.mention("two", id="9-0")
    assert await slot.feed.since(lost) is None
    slot.world.call("DEL", COORDINATOR, CHANGES)
    assert await slot.feed.since("9-0") is None


@pytest.mark.parametrize(("entries", "is_known"), [(1200, True), (MOST_SAGAS + 1, False)])
@in_virtual_time
async def test_a_client_that_was_away_for_long_is_told_all_or_that_it_is_too_much(entries: int, is_known: bool) -> None:
    """However many entries there are: it is the sagas that count."""
    slot = Slot()
    first = slot.mention("first")
    for number in range(entries):
        last = slot.mention(f"saga-{number % 100 if is_known else number}")

    changes = await slot.feed.since(first)

    assert (changes is not None) is is_known
    if changes is not None:
        assert (changes.position, len(changes.sagas)) == (last, 100)


@in_virtual_time
async def test_waiting_ends_at_the_next_change_and_after_a_while() -> None:
    slot = Slot()
    position = slot.mention("one")
    began = slot.world.loop.time()

    await slot.feed.wait(position, timedelta(seconds=1))
    waited_in_vain = slot.world.loop.time() - began
    waiting = asyncio.create_task(slot.feed.wait(position, timedelta(seconds=1)))
    await asyncio.sleep(0.25)
    slot.mention("two")
    await waiting

    assert waited_in_vain == pytest.approx(1)
    assert slot.world.loop.time() - began == pytest.approx(1.25)
