"""A loop that does not turn is told with the place that blocks it; one that turns is not."""

from __future__ import annotations

import asyncio
import threading
import time

from structlog.testing import capture_logs

from sagastream.blocking import blocking_is_told, where

SOON_S, BLOCKED_S = 0.01, 0.1


def sleep_like_a_beginner(seconds: float) -> None:
    time.sleep(seconds)


async def test_who_blocks_is_named_and_the_end_of_it_told() -> None:
    """File, line and function of whoever waits without awaiting, innermost first."""
    with capture_logs() as logs, blocking_is_told(SOON_S, BLOCKED_S):
        await asyncio.sleep(3 * SOON_S)
        sleep_like_a_beginner(1.0)
        await asyncio.sleep(0.1)

    blocked, again = logs
    assert (blocked["event"], again["event"]) == ("loop.blocked", "loop.turns_again")
    first, second = blocked["at"].split(" < ")[:2]
    assert first.startswith(f"{__file__}:")
    assert first.endswith(" sleep_like_a_beginner")
    assert second.endswith(" test_who_blocks_is_named_and_the_end_of_it_told")
    assert 0.5 < again["after_s"] < 5


async def test_a_loop_that_turns_is_not_told_of_however_much_it_does() -> None:
    with capture_logs() as logs, blocking_is_told(SOON_S, BLOCKED_S):
        ends_at = time.monotonic() + 0.5
        while time.monotonic() < ends_at:
            sleep_like_a_beginner(0.01)
            await asyncio.sleep(0)

    assert logs == []


async def test_nothing_is_left_of_the_watch_and_nobody_waits_for_it() -> None:
    """Also where it has just asked the loop, which does not turn while the watch is ended."""
    before = threading.active_count()
    with capture_logs() as logs:
        for _ in range(50):
            began_at = time.monotonic()
            with blocking_is_told(0.0, BLOCKED_S):
                assert threading.active_count() == before + 1
            assert time.monotonic() - began_at < BLOCKED_S

    assert threading.active_count() == before
    assert logs == []


def test_a_thread_that_is_gone_stands_nowhere() -> None:
    assert where(None) == ""
