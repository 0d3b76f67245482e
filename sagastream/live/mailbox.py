"""The pending messages of one client. Bounded: a client that cannot keep up must load everything again."""

from __future__ import annotations

import asyncio
from functools import reduce
from typing import Protocol

from sagastream.live.messages import Batch, Wanted, reset

MOST_BATCHES = 20


class Listener(Protocol):
    """A receiver of changes. Never waits; is called in the order in which changes happened."""

    def changed(self, batch: Batch) -> None:
        """Receive a batch of changes."""
        ...

    def missed(self, position: str, why: str) -> None:
        """Receive the news that changes up to a position may have been missed."""
        ...

    def told(self, message: bytes) -> None:
        """Receive a message about all sagas together, of which only the latest matters."""
        ...

    def ended(self) -> None:
        """Receive the news that nothing more will come."""
        ...


class Mailbox:
    """A listener that keeps messages until they are taken."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._batches: list[Batch] = []
        self._reset: bytes | None = None
        self._latest: bytes | None = None
        self._is_filled = asyncio.Event()
        self.is_ended = False

    def changed(self, batch: Batch) -> None:
        """Keep a batch, unless too many are pending already: then drop all of them and request a reload."""
        if len(self._batches) < MOST_BATCHES:
            self._batches.append(batch)
            self._is_filled.set()
        else:
            self.missed(batch.position, "more changed than this client took")

    def missed(self, position: str, why: str) -> None:
        """Keep only the message that everything must be loaded again; drop all earlier ones."""
        self._batches.clear()
        self._reset = reset(position, why)
        self._is_filled.set()

    def told(self, message: bytes) -> None:
        """Keep a message; it replaces the last one."""
        self._latest = message
        self._is_filled.set()

    def ended(self) -> None:
        """Record that nothing more will come."""
        self.is_ended = True
        self._is_filled.set()

    @property
    def is_empty(self) -> bool:
        """Tell whether no message is pending."""
        return not self._is_filled.is_set()

    async def take(self) -> list[bytes]:
        """Return all pending messages, oldest first, once there are any; pending batches are merged into one."""
        await self._is_filled.wait()
        self._is_filled.clear()
        batches, self._batches = self._batches, []
        written = reduce(Batch.then, batches).message(self._wanted) if batches else None
        found = [message for message in (self._reset, written, self._latest) if message is not None]
        self._reset = self._latest = None
        return found


class Bell:
    """A listener that only notices whether one saga changed."""

    def __init__(self, saga_id: str) -> None:
        self._saga_id = saga_id
        self._rings = asyncio.Event()
        self.is_ended = False

    def changed(self, batch: Batch) -> None:
        """Ring if the saga is in the batch."""
        if self._saga_id in batch.changes:
            self._rings.set()

    def missed(self, position: str, why: str) -> None:
        """Ring: it may have changed."""
        self._rings.set()

    def told(self, message: bytes) -> None:
        """Ignore it: it concerns all sagas together."""

    def ended(self) -> None:
        """Ring for the last time."""
        self.is_ended = True
        self._rings.set()

    async def rung(self) -> None:
        """Return once the saga has changed since the last call."""
        await self._rings.wait()
        self._rings.clear()
