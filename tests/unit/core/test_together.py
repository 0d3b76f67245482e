"""Several at once: results in order, and nobody is left behind when one fails or the asker goes away."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping

import pytest

from sagastream.together import all_of
from tests.unit.core.world import in_virtual_time


async def after(seconds: float, answer: int | Exception) -> int:
    """Answer after a while."""
    await asyncio.sleep(seconds)
    if isinstance(answer, Exception):
        raise answer
    return answer


@in_virtual_time
async def test_they_run_side_by_side_and_answer_in_their_order() -> None:
    """However late each of them is."""
    began = asyncio.get_running_loop().time()

    assert await all_of(after(seconds, answer) for seconds, answer in ((3, 1), (1, 2), (2, 3))) == [1, 2, 3]
    assert asyncio.get_running_loop().time() - began == 3
    assert await all_of([]) == []


@in_virtual_time
async def test_if_one_fails_the_others_go_no_further() -> None:
    """What they would have decided, nobody is there to commit. Those before it have ended by then."""
    before, behind = asyncio.create_task(after(2, 1)), asyncio.create_task(after(9, 2))

    with pytest.raises(OSError, match="fell over"):
        await all_of([before, after(1, OSError("fell over")), behind])

    await asyncio.wait([behind])
    assert asyncio.get_running_loop().time() < 9
    assert (before.result(), behind.cancelled()) == (1, True)


@in_virtual_time
async def test_if_the_asker_is_cancelled_so_are_they() -> None:
    """A consumer that is stopped leaves no handler at work."""
    others = [asyncio.create_task(after(9, 1)), asyncio.create_task(after(9, 2))]
    asking = asyncio.create_task(all_of(others))
    await asyncio.sleep(1)
    asking.cancel()

    await asyncio.wait([asking, *others])
    assert all(one.cancelled() for one in (asking, *others))


@in_virtual_time
async def test_of_several_errors_none_is_told_as_forgotten() -> None:
    """The loop tells of errors that nobody looked at, as if they were a fault of ours."""
    told: list[Mapping[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    with pytest.raises(OSError, match="first"):
        await all_of(after(1, OSError(which)) for which in ("first", "second", "third"))

    await asyncio.sleep(1)
    gc.collect()
    assert told == []
