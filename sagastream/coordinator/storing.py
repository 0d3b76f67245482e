"""Stores parts of batches while the next messages are read and folded. Speaks to no server itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from sagastream.coordinator.bundle import Bundle

TOGETHER, SIDE_BY_SIDE = 25, 8  # sagas written by one call; the most calls at a time, each on its own connection


class Storing:
    """Stores parts concurrently, but never two that hold the same saga; ``store`` writes one into the records.

    An error is raised by the next call; the messages it concerns were not settled, and are delivered again.
    """

    def __init__(self, store: Callable[[Sequence[Bundle]], Awaitable[None]]) -> None:
        self._store = store
        self._under_way: dict[asyncio.Future[None], frozenset[str]] = {}

    def __bool__(self) -> bool:
        """Tell whether any part is being stored."""
        return bool(self._under_way)

    async def begin(self, bundles: Sequence[Bundle]) -> None:
        """Begin to store these bundles in parts: while the server stores one, the next are folded.

        Raises: the error that kept an earlier part from being stored.
        """
        self._look_back()
        size = max(TOGETHER, -(-len(bundles) // SIDE_BY_SIDE))
        for at in range(0, len(bundles), size):
            part = bundles[at : at + size]
            sagas = frozenset(bundle.first.saga_id for bundle in part)
            while len(self._under_way) >= SIDE_BY_SIDE or not all(map(sagas.isdisjoint, self._under_way.values())):
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
                self._look_back()
            self._under_way[asyncio.ensure_future(self._store(part))] = sagas

    async def end(self) -> None:
        """Wait for every part that is being stored.

        Raises: the error that kept a part from being stored, once all have ended.
        """
        if self._under_way:
            await asyncio.wait(self._under_way)
            self._look_back()

    async def give_up(self) -> None:
        """Wait for every part and ignore its outcome: nothing may go on behind a loop that starts anew."""
        if self._under_way:
            await asyncio.wait(self._under_way)
            _raised(self._under_way)
            self._under_way.clear()

    async def cancel(self) -> None:
        """Cancel every part that is still being stored: its messages are delivered again."""
        for one in self._under_way:
            one.cancel()
        await self.give_up()

    def _look_back(self) -> None:
        over = [one for one in self._under_way if one.done()]
        errors = _raised(over)
        for one in over:
            del self._under_way[one]
        if errors:
            raise errors[0]


def _raised(futures: Iterable[asyncio.Future[None]]) -> list[BaseException]:
    return [error for future in futures if not future.cancelled() and (error := future.exception())]
