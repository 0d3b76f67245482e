"""The limit is taken from what the engine really sends, and counts only if it does what the engine did."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.limit import LIMIT, recorded, replayed
from bench.mix import Burst
from bench.replay import NotAsRecorded
from bench.runs import Case

pytestmark = [pytest.mark.server, pytest.mark.processes]

CASE = Case("one", "half-undone", "no", 40)


async def test_commands_sent_again_bring_every_saga_where_the_engine_brought_it() -> None:
    """On a fresh server, from plain sockets; both ways a saga can go."""
    mix = await recorded(CASE)

    figures = await replayed(mix, replace(CASE, arrangement=LIMIT))

    assert CASE.is_true(figures.ended)
    assert mix.entries > 9 * CASE.sagas
    assert figures.server_us > 0 < figures.python_us


async def test_a_mix_that_leaves_something_out_is_no_limit() -> None:
    """Without its scripts it would be quick."""
    mix = await recorded(CASE)
    without = tuple(step for step in mix.steps if not (isinstance(step, Burst) and b"EVALSHA" in step.data))

    with pytest.raises(NotAsRecorded):
        await replayed(replace(mix, steps=without), CASE)
