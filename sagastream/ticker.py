"""The one door to APScheduler: wakes a coroutine at a steady pace, never two at a time.

APScheduler goes by the wall clock. Where that is put back nobody would be woken until it has caught up, and where it
is put forward every instant that was missed would be listed: so the next instant is always told from now, and looked
at again by the monotonic clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from sagastream.together import set_within

WATCH = timedelta(seconds=1)  # a clock that was put back delays nothing for longer
LATE = timedelta(milliseconds=100)  # by this a scheduler that is awake is not

Ticker = Callable[[timedelta, Callable[[], Awaitable[None]], asyncio.Event], Awaitable[None]]


async def every(period: timedelta, call: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Call again and again until told to stop; a call that takes longer than the period is not overtaken.

    A call that is under way then is cancelled, and has ended when this returns: what it uses may be closed.
    """
    under_way: set[asyncio.Task[object]] = set()

    async def tick() -> None:
        if under_way:
            return
        task = asyncio.current_task()
        assert task is not None  # a coroutine runs in one
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        # A scheduler that shuts down cancels the call under way and would log that as a failure.
        with suppress(asyncio.CancelledError):
            await call()

    scheduler = AsyncIOScheduler(timezone=UTC)
    # Two, for of one it warns each time that it is still under way.
    job = scheduler.add_job(tick, _FromNow(period), coalesce=True, max_instances=2, misfire_grace_time=None)
    scheduler.start()
    try:
        while not await set_within(stop, WATCH):
            if not -LATE <= job.next_run_time - _now() <= period:
                job.modify(next_run_time=_now())  # which wakes the scheduler, too
    finally:
        scheduler.pause()
        await asyncio.sleep(0)  # a call that was just woken begins, and can be waited for
        scheduler.shutdown(wait=False)
        if under_way:
            await asyncio.wait(under_way)


def only_if(may: Callable[[], Awaitable[bool]], ticker: Ticker) -> Ticker:
    """Return the ticker that leaves out the calls before which it is told that they may not be."""

    async def tick(period: timedelta, call: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        async def if_it_may() -> None:
            if await may():
                await call()

        await ticker(period, if_it_may, stop)

    return tick


class _FromNow(BaseTrigger):  # type: ignore[misc]  # untyped
    """Fires a period from now, whenever it is asked."""

    def __init__(self, period: timedelta) -> None:
        self._period = period

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return when to fire next."""
        return now + self._period


def _now() -> datetime:
    return datetime.now(UTC)
