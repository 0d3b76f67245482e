"""Many small requests, few large calls: what is asked while a call is under way goes out with the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

from sagastream.together import all_of

T = TypeVar("T")
R = TypeVar("R")


class Coalescer(Generic[T, R]):
    """Gathers items and hands them over together, at most ``limit`` at once and one call at a time.

    An idle coalescer waits only for the current turn of the loop; a busy one for the call under way. An answer
    that is an exception is raised to the one who asked; a call that raises is raised to all of its askers.
    """

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]], *, limit: int) -> None:
        self._call = call
        self._limit = limit
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._flush: asyncio.Task[None] | None = None

    async def ask(self, item: T) -> R:
        """Hand over one item and return its answer."""
        return await self._handed_over(item)

    async def ask_each(self, items: Iterable[T]) -> list[R]:
        """Hand over several items at once and return their answers."""
        return await all_of(map(self._handed_over, items))

    def _handed_over(self, item: T) -> asyncio.Future[R]:
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._run())
        future: asyncio.Future[R] = self._flush.get_loop().create_future()  # looking for the loop is a system call
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
            except Exception as error:  # not ours to judge: each asker gets it
                answers = [error] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
