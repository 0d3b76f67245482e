"""Wait for sagas to end: one blocking read serves all waiting callers; without any, nothing is read. Reads only."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Self

from sagastream import keys as names
from sagastream.bus import Bus, Reply
from sagastream.errors import ReplyError, SagastreamError
from sagastream.keys import COORDINATOR, Keys
from sagastream.replies import entries, listed
from sagastream.saga.advance import ENDS
from sagastream.saga.lifecycle import Status

_BLOCK_MS = 1000
_PAUSE_S = 0.2


class Endings:
    """Waits for sagas to end. Open it as a context manager; closing it ends every wait."""

    def __init__(self, *, bus: Bus, prefix: str) -> None:
        keys = Keys(prefix, COORDINATOR)
        self._bus = bus
        self._keys = keys
        self._streams = [keys.events(type_name) for type_name in ENDS]
        self._positions: list[str] = []
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._starting = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Return this object; nothing is read before the first wait."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading and end pending waits; they return None unless the record already shows the end."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        for end in [end for waiting in self._waiting.values() for end in waiting]:
            _wake(end)

    async def wait(self, saga_id: str, patience: timedelta) -> Status | None:
        """Return the status with which a saga ended, None if it has not ended within ``patience``.

        Raises: ``ServerUnavailable``.
        """
        end = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(saga_id, set()).add(end)
        try:
            async with self._starting:
                if self._watch is None or self._watch.done():
                    self._positions = await self._last_positions()
                    self._watch = asyncio.create_task(self._read())
            # Read the record after the watch has positions: earlier ends are in the record, later ones in the streams.
            status = await self._ended(saga_id)
            if status is None and patience > timedelta(0):
                await asyncio.wait({end}, timeout=patience.total_seconds())
                status = await self._ended(saga_id)
            return status
        finally:
            self._waiting[saga_id].discard(end)
            if not self._waiting[saga_id]:
                del self._waiting[saga_id]

    async def _ended(self, saga_id: str) -> Status | None:
        reply = await self._bus.query.execute("HGET", self._keys.key(names.record(saga_id)), "status")
        ends = {str(status): status for status in Status if status.is_end}
        return ends.get(str(reply))  # a later release's status is no end known here

    async def _last_positions(self) -> list[str]:
        newest = [("XREVRANGE", stream, "+", "-", "COUNT", 1) for stream in self._streams]
        replies = [reply for reply in await self._bus.query.pipeline(newest) if not isinstance(reply, ReplyError)]
        return [next((entry for entry, _ in entries(reply)), "0-0") for reply in replies]

    async def _read(self) -> None:
        while self._waiting:
            try:
                reply = await self._bus.reader.execute(
                    "XREAD", "COUNT", 500, "BLOCK", _BLOCK_MS, "STREAMS", *self._streams, *self._positions
                )
            except SagastreamError:
                await asyncio.sleep(_PAUSE_S)  # each waiting caller reads the record again when its time is up
                continue
            for part in listed(reply):
                if isinstance(part, list):
                    self._tell(str(part[0]), part[1])

    def _tell(self, stream: str, reply: Reply) -> None:
        for entry, fields in entries(reply):
            self._positions[self._streams.index(stream)] = entry
            for end in self._waiting.get(fields.get("correlationid", ""), ()):
                _wake(end)


def _wake(end: asyncio.Future[None]) -> None:
    if not end.done():
        end.set_result(None)
