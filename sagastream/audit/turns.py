"""Long work that gives way: it goes on when it is given a turn, and waits in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from sagastream.audit.scene import Pause

T = TypeVar("T")


class Turns(Generic[T]):
    """One piece of work, done in turns. It is handed a pause, and gives way where it awaits that after its turn."""

    def __init__(self, work: Callable[[Pause], Awaitable[T]]) -> None:
        self._is_its_turn = asyncio.Event()
        self._has_given_way = asyncio.Event()
        self._until = 0.0
        self._task = asyncio.create_task(self._begin(work))
        self._task.add_done_callback(lambda _: self._has_given_way.set())

    async def go_on(self, until: float) -> bool:
        """Give it a turn up to an instant of the loop's clock, and tell whether it has come to its end."""
        self._until = until
        self._has_given_way.clear()
        self._is_its_turn.set()
        if not self._task.done():
            await self._has_given_way.wait()
        return self._task.done()

    def result(self) -> T:
        """Return what it came to, or raise what it failed with; only at its end."""
        return self._task.result()

    async def end(self) -> None:
        """Leave it at that, wherever it is."""
        self._task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self._task

    async def _begin(self, work: Callable[[Pause], Awaitable[T]]) -> T:
        await self._is_its_turn.wait()
        return await work(self._pause)

    async def _pause(self) -> None:
        if asyncio.get_running_loop().time() >= self._until:
            self._is_its_turn.clear()
            self._has_given_way.set()
            await self._is_its_turn.wait()
