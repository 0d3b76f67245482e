"""Several at once, their results in order; an event, for so long. Knows nothing of what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")


async def all_of(awaited: Iterable[asyncio.Future[T] | Coroutine[Any, Any, T]]) -> list[T]:
    """Return what all of them return, in their order.

    ``asyncio.gather`` looks at each when it ends; of many that end together only one wakes us here, which for reads of
    some microseconds is what counts. An error is raised once those before it have ended; then, and if we are cancelled,
    the others are cancelled.
    """
    loop = asyncio.get_running_loop()  # once: each time it asks the kernel for the process id
    futures = [one if isinstance(one, asyncio.Future) else loop.create_task(one) for one in awaited]
    try:
        return [await future for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()  # also of one that has failed: or it would be told as forgotten, for nobody looks at it
        raise


async def set_within(event: asyncio.Event, so_long: timedelta) -> bool:
    """Wait until an event is set, or so long; tell whether it is."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), so_long.total_seconds())
    return event.is_set()
