"""The one door to APScheduler: wakes a coroutine at a steady pace, never two at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

Ticker = Callable[[timedelta, Callable[[], Awaitable[None]], asyncio.Event], Awaitable[None]]


async def every(period: timedelta, call: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Call again and again until told to stop; a call that takes longer than the period is not overtaken.

    A call that is under way then is cancelled, and has ended when this returns: what it uses may be closed.
    """
    under_way: set[asyncio.Task[object]] = set()

    async def tick() -> None:
        task = asyncio.current_task()
        assert task is not None  # a coroutine runs in one
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        # A scheduler that shuts down cancels the call under way and would log that as a failure.
        with suppress(asyncio.CancelledError):
            await call()

    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.add_job(
        tick, "interval", seconds=period.total_seconds(), coalesce=True, max_instances=1, misfire_grace_time=None
    )
    scheduler.start()
    try:
        await stop.wait()
    finally:
        scheduler.pause()
        await asyncio.sleep(0)  # a call that was just woken begins, and can be waited for
        scheduler.shutdown(wait=False)
        if under_way:
            await asyncio.wait(under_way)
