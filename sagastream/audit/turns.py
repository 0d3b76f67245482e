"""Long work done in turns: it goes on when it is given a turn, and waits in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from sagastream.audit.scene import Pause

T = TypeVar("T")


class Turns(Generic[T]):
    """One piece of work, done in turns. It receives a pause to await, and gives way there once its turn is over."""

    def __init__(self, work: Callable[[Pause], Awaitable[T]]) -> None:
        self._is_its_turn = asyncio.Event()
        self._has_given_way = asyncio.Event()
        self._until = 0.0
        self._task = asyncio.create_task(self._begin(work))
        self._task.add_done_callback(lambda _: self._has_given_way.set())

    async def go_on(self, until: float) -> bool:
        """Give the work a turn up to an instant of the loop's clock; tell whether it has finished."""
        self._until = until
        self._has_given_way.clear()
        self._is_its_turn.set()
        if not self._task.done():
            await self._has_given_way.wait()
        return self._task.done()

    def result(self) -> T:
        """Return the result of the work, or raise its error; only once it has finished."""
        return self._task.result()

    async def end(self) -> None:
        """Cancel the work, wherever it is."""
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
