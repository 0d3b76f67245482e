"""What is asked while a call is under way goes out with the next; each asker gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sagastream.coalescer import Coalescer
from tests.unit.core.world import in_virtual_time


class Desk:
    """Answers in a second; notes what came together."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        """Double each number, refuse the negative ones, and fall over at a hundred."""
        self.calls.append(list(items))
        await asyncio.sleep(1)
        if 100 in items:
            raise OSError("fell over")
        return [ValueError(str(item)) if item < 0 else item * 2 for item in items]


@in_virtual_time
async def test_what_is_asked_in_one_turn_goes_out_together_within_the_limit() -> None:
    """One call at a time, at most so many in each, answers in order."""
    desk = Desk()
    coalescer = Coalescer(desk, limit=3)

    assert await asyncio.gather(*(coalescer.ask(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert desk.calls == [[0, 1, 2], [3, 4]]


@in_virtual_time
async def test_what_comes_during_a_call_waits_for_the_next() -> None:
    """Nothing overtakes and nothing is lost."""
    desk = Desk()
    coalescer = Coalescer(desk, limit=10)
    first = asyncio.create_task(coalescer.ask(1))
    await asyncio.sleep(0.5)
    later = [asyncio.create_task(coalescer.ask(n)) for n in (2, 3)]

    assert [await first, *[await each for each in later]] == [2, 4, 6]
    assert desk.calls == [[1], [2, 3]]


@in_virtual_time
async def test_an_error_reaches_those_it_concerns_and_nobody_else() -> None:
    """One answer that is an error, one call that fails as a whole, and then it works again."""
    desk = Desk()
    coalescer = Coalescer(desk, limit=2)
    answers = await asyncio.gather(*(coalescer.ask(n) for n in (1, -1, 100, 4, 5)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [int, ValueError, OSError, OSError, int]
    assert await coalescer.ask(7) == 14


@in_virtual_time
async def test_what_one_asks_for_at_once_is_answered_in_its_order() -> None:
    """Beside what others ask for; an error among the answers is the asker's, and nobody else's."""
    desk = Desk()
    coalescer = Coalescer(desk, limit=10)
    each, other = await asyncio.gather(coalescer.ask_each([1, 2, 3]), coalescer.ask(4))

    assert (each, other) == ([2, 4, 6], 8)
    assert desk.calls == [[1, 2, 3, 4]]
    assert await coalescer.ask_each([]) == []
    answers = await asyncio.gather(coalescer.ask_each([5, -1, -2]), coalescer.ask(6), return_exceptions=True)
    assert [str(answers[0]), answers[1]] == ["-1", 12]


@in_virtual_time
async def test_an_asker_that_goes_away_takes_nobody_with_it() -> None:
    """Its answer is dropped."""
    desk = Desk()
    coalescer = Coalescer(desk, limit=10)
    leaving, staying = asyncio.create_task(coalescer.ask(1)), asyncio.create_task(coalescer.ask(2))
    await asyncio.sleep(0.5)
    leaving.cancel()

    assert await staying == 4
    with pytest.raises(asyncio.CancelledError):
        await leaving
