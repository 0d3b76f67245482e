"""What one client has still to be sent. Bounded: a client that cannot keep up is told to load everything again."""

from __future__ import annotations

import asyncio
from functools import reduce
from typing import Protocol

from sagastream.live.messages import Batch, Wanted, reset

MOST_BATCHES = 20


class Listener(Protocol):
    """Whoever is told what changes. Never waits; is told in the order in which it happened."""

    def changed(self, batch: Batch) -> None:
        """Take what changed."""
        ...

    def missed(self, position: str, why: str) -> None:
        """Take that something up to a position may have been missed."""
        ...

    def told(self, message: bytes) -> None:
        """Take a message about all sagas together, of which only the latest matters."""
        ...

    def ended(self) -> None:
        """Take that nothing more will come."""
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
        """Keep a batch, unless too many are waiting already: then all of them are given up."""
        if len(self._batches) < MOST_BATCHES:
            self._batches.append(batch)
            self._is_filled.set()
        else:
            self.missed(batch.position, "more changed than this client took")

    def missed(self, position: str, why: str) -> None:
        """Keep that everything must be loaded again, and nothing of what came before."""
        self._batches.clear()
        self._reset = reset(position, why)
        self._is_filled.set()

    def told(self, message: bytes) -> None:
        """Keep a message in the place of the last one."""
        self._latest = message
        self._is_filled.set()

    def ended(self) -> None:
        """Keep that nothing more will come."""
        self.is_ended = True
        self._is_filled.set()

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to take."""
        return not self._is_filled.is_set()

    async def take(self) -> list[bytes]:
        """Return all there is, oldest first, once there is something; batches that had to wait as one."""
        await self._is_filled.wait()
        self._is_filled.clear()
        batches, self._batches = self._batches, []
        written = reduce(Batch.then, batches).message(self._wanted) if batches else None
        found = [message for message in (self._reset, written, self._latest) if message is not None]
        self._reset = self._latest = None
        return found


class Bell:
    """A listener that only wants to know whether one saga changed."""

    def __init__(self, saga_id: str) -> None:
        self._saga_id = saga_id
        self._rings = asyncio.Event()
        self.is_ended = False

    def changed(self, batch: Batch) -> None:
        """Ring if the saga is among what changed."""
        if self._saga_id in batch.changes:
            self._rings.set()

    def missed(self, position: str, why: str) -> None:
        """Ring: it may have changed."""
        self._rings.set()

    def told(self, message: bytes) -> None:
        """Leave what concerns all sagas to others."""

    def ended(self) -> None:
        """Ring for the last time."""
        self.is_ended = True
        self._rings.set()

    async def rung(self) -> None:
        """Return once the saga changed since this was last asked."""
        await self._rings.wait()
        self._rings.clear()
