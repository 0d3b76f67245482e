"""Observes when sagas end, by one blocking read of the published lifecycle events, beside the shop. Reads only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Self

from sagastream.bus import Reply, connect
from sagastream.event import SagaAborted, SagaCompensationCompleted, SagaCompleted, SagaFailed
from sagastream.keys import COORDINATOR, Keys
from sagastream.settings import Settings

_BLOCK = timedelta(seconds=1)


class Ends:
    """Records when each saga ended; the script that writes a saga's record also publishes its end."""

    def __init__(self, url: str) -> None:
        keys = Keys(Settings(redis_url=url).key_prefix, COORDINATOR)
        kinds = (SagaCompleted, SagaCompensationCompleted, SagaFailed, SagaAborted)
        self._positions = {keys.events(kind.type_name()): "0-0" for kind in kinds}
        self._bus = connect(url, name="bench-ends", block=_BLOCK)
        self._reading: asyncio.Task[None] | None = None
        self._is_over = False
        self._news = asyncio.Event()
        self.at: dict[str, float] = {}
        """The instant (of ``time.perf_counter``) at which each saga's end was seen."""

    async def __aenter__(self) -> Self:
        """Start reading."""
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading.

        A client cancelled at the moment of its reply may return the reply and lose the cancellation; so the reader
        also gets a flag, and is awaited with a time limit.
        """
        self._is_over = True
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading}, timeout=3 * _BLOCK.total_seconds())
        await self._bus.close()

    async def until(self, sagas: Iterable[str], *, within_s: float) -> None:
        """Wait until these have ended, at most ``within_s``."""
        missing = set(sagas)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while missing := {saga for saga in missing if saga not in self.at}:
                    self._news.clear()
                    await self._news.wait()

    async def _read(self) -> None:
        while not self._is_over:
            reply = await self._bus.reader.execute(
                "XREAD", "COUNT", 500, "BLOCK", _BLOCK // timedelta(milliseconds=1),
                "STREAMS", *self._positions, *self._positions.values(),
            )  # fmt: skip
            now = time.perf_counter()
            for part in reply if isinstance(reply, list) else []:
                assert isinstance(part, list)
                self._note(str(part[0]), part[1], now)
            self._news.set()

    def _note(self, stream: str, entries: Reply, now: float) -> None:
        for entry in entries if isinstance(entries, list) else []:
            assert isinstance(entry, list)
            assert isinstance(entry[1], list)
            self._positions[stream] = str(entry[0])
            self.at.setdefault(str(entry[1][entry[1].index("correlationid") + 1]), now)
