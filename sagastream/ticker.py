"""Call a coroutine at a steady pace, never twice at a time. The only module that imports APScheduler.

APScheduler follows the wall clock. If that clock is set back, nothing would be called until it has caught up; if it is
set forward, every missed instant would be listed. So the next instant is always computed from now, and checked again by
the monotonic clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from sagastream.together import set_within

WATCH = timedelta(seconds=1)  # a clock that is set back delays a call by no more than this
LATE = timedelta(milliseconds=100)  # a working scheduler is never as late as this

Ticker = Callable[[timedelta, Callable[[], Awaitable[None]], asyncio.Event], Awaitable[None]]


async def every(period: timedelta, call: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Call again and again until ``stop`` is set; while a call takes longer than the period, no other begins.

    At the stop a pending call is cancelled, and it has ended when this returns, so the resources it uses may be closed.
    """
    under_way: set[asyncio.Task[object]] = set()

    async def tick() -> None:
        if under_way:
            return
        task = asyncio.current_task()
        assert task is not None  # a coroutine runs in one
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        # At its shutdown the scheduler cancels the pending call and would log that as a failure.
        with suppress(asyncio.CancelledError):
            await call()

    scheduler = AsyncIOScheduler(timezone=UTC)
    # Two instances: with one, APScheduler warns at each tick that finds the previous call pending.
    job = scheduler.add_job(tick, _FromNow(period), coalesce=True, max_instances=2, misfire_grace_time=None)
    scheduler.start()
    try:
        while not await set_within(stop, WATCH):
            if not -LATE <= job.next_run_time - _now() <= period:
                job.modify(next_run_time=_now())  # this also wakes the scheduler
    finally:
        scheduler.pause()
        await asyncio.sleep(0)  # let a call that was just woken begin, so that it can be awaited
        scheduler.shutdown(wait=False)
        if under_way:
            await asyncio.wait(under_way)


def only_if(may: Callable[[], Awaitable[bool]], ticker: Ticker) -> Ticker:
    """Return a ticker that awaits ``may`` before each call and skips the call if the result is false."""

    async def tick(period: timedelta, call: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        async def if_it_may() -> None:
            if await may():
                await call()

        await ticker(period, if_it_may, stop)

    return tick


class _FromNow(BaseTrigger):  # type: ignore[misc]  # untyped
    """A trigger whose next instant is always one period from now."""

    def __init__(self, period: timedelta) -> None:
        self._period = period

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return when to fire next."""
        return now + self._period


def _now() -> datetime:
    return datetime.now(UTC)
