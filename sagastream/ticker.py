"""The one door to APScheduler: wakes a coroutine at a steady pace, never two at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

Ticker = Callable[[timedelta, Callable[[], Awaitable[None]], asyncio.Event], Awaitable[None]]


async def every(period: timedelta, call: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Call again and again until told to stop; a call that takes longer than the period is not overtaken."""

    async def tick() -> None:
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
        scheduler.shutdown(wait=False)
