"""Combine many small requests into few large calls: requests made during a call are sent with the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

from sagastream.together import all_of

T = TypeVar("T")
R = TypeVar("R")


class Coalescer(Generic[T, R]):
    """Gathers items and passes them to ``call`` together, at most ``limit`` per call and one call at a time.

    An idle coalescer waits only for the current turn of the loop, a busy one for the pending call. An answer that is an
    exception is raised to the caller that asked for it; an exception of the call itself is raised to all its callers.
    """

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]], *, limit: int) -> None:
        self._call = call
        self._limit = limit
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._flush: asyncio.Task[None] | None = None

    async def ask(self, item: T) -> R:
        """Request one item and return its answer."""
        return await self._handed_over(item)

    async def ask_each(self, items: Iterable[T]) -> list[R]:
        """Request several items at once and return their answers."""
        return await all_of(map(self._handed_over, items))

    def _handed_over(self, item: T) -> asyncio.Future[R]:
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._run())
        future: asyncio.Future[R] = self._flush.get_loop().create_future()  # get_running_loop is a system call
        self._waiting.append((item, future))
        return future

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            try:
                answers = await self._call([item for item, _ in batch])
            except asyncio.CancelledError:
                for _, future in batch + self._waiting:
                    future.cancel()
                raise
            except Exception as error:  # not ours to judge: each caller gets it
                answers = [error] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
