"""Parts of batches on their way into the records, while what follows them is read and folded. Speaks to no server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from sagastream.coordinator.bundle import Bundle

TOGETHER, SIDE_BY_SIDE = 25, 8  # sagas of a batch that one call writes; such calls at most, each on its own connection


class Storing:
    """Stores parts side by side, but no two of which hold the same saga; ``store`` brings one into the records.

    An error is raised to whoever comes next; what it was about was not settled, and comes again.
    """

    def __init__(self, store: Callable[[Sequence[Bundle]], Awaitable[None]]) -> None:
        self._store = store
        self._under_way: dict[asyncio.Future[None], frozenset[str]] = {}

    def __bool__(self) -> bool:
        """Tell whether anything is under way."""
        return bool(self._under_way)

    async def begin(self, bundles: Sequence[Bundle]) -> None:
        """Begin to store these, some at a time: while the server stores some, the next are folded.

        Raises: what kept earlier ones from being stored.
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
        """Wait for everything that is under way.

        Raises: what kept any of it from being stored, once all have come to an end.
        """
        if self._under_way:
            await asyncio.wait(self._under_way)
            self._look_back()

    async def give_up(self) -> None:
        """Wait for everything under way, whatever comes of it: nothing goes on behind a loop that begins anew."""
        if self._under_way:
            await asyncio.wait(self._under_way)
            _raised(self._under_way)
            self._under_way.clear()

    async def cancel(self) -> None:
        """Let go of what is under way, if anything still is: it comes again."""
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
