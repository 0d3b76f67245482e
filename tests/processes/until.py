"""Waiting for something to be so, with a bound. Never for a fixed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PERIOD_S = 0.02


async def until(
    ask: Callable[[], Awaitable[T | None]], what: str, within_s: float = 30.0, *, every_s: float = PERIOD_S
) -> T:
    """Ask again and again until the answer is true, and return it.

    Raises: ``AssertionError`` naming what did not come, and the last answer.
    """
    bound = time.monotonic() + within_s
    while not (answer := await ask()):
        if time.monotonic() > bound:
            raise AssertionError(f"{what}: not within {within_s:g} s; the last answer was {answer!r}")
        await asyncio.sleep(every_s)
    return answer
