"""Await several tasks in order, or an event for a limited time. Knows nothing of their purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")


async def all_of(awaited: Iterable[asyncio.Future[T] | Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of all awaitables in their order.

    ``asyncio.gather`` runs a callback as each one ends; here, of many that end together, only one wakes us, which
    matters for reads of some microseconds. An error is raised once the awaitables before it have ended. The others are
    cancelled then, and also if we are cancelled.
    """
    loop = asyncio.get_running_loop()  # once: each call asks the kernel for the process id
    futures = [one if isinstance(one, asyncio.Future) else loop.create_task(one) for one in awaited]
    try:
        return [await future for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()  # failed ones too: this marks their exceptions as retrieved, or asyncio would log them
        raise


async def set_within(event: asyncio.Event, so_long: timedelta) -> bool:
    """Wait until an event is set, at most ``so_long``; tell whether it is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), so_long.total_seconds())
    return event.is_set()
