"""Disorder on the streams: events repeated in any order, and unreadable entries. Bypasses the services."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping

from events import OrderConfirmed, OrderCreated, PaymentProcessed, StockReserved
from sagastream import Settings
from sagastream.bus import Bus
from sagastream.envelope import flattened
from sagastream.keys import Keys
from sagastream.replies import entries, listed

_MINE = (OrderCreated, StockReserved, PaymentProcessed, OrderConfirmed)
_EVENTS_OF_A_SAGA = 5
_AT_ONCE = 500
_BLOCK_MS = 100


class Disorder:
    """Repeats the events of a share of all sagas, each saga's in random order, and adds a share of poison.

    ``touched`` are the affected sagas.
    """

    def __init__(self, bus: Bus, *, shuffled: float, poison: float) -> None:
        self._bus = bus
        self._shuffled = shuffled
        self._poison = poison
        self._chance = random.Random(1)
        self._streams = [Keys(Settings().key_prefix, kind.by).events(kind.type_name()) for kind in _MINE]
        self.touched: set[str] = set()
        self.told_again = self.poisoned = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the published events, and disturb them, until ``stop`` is set."""
        seen = dict.fromkeys(self._streams, "$")
        held: list[tuple[str, list[str]]] = []
        while not stop.is_set():
            reply = await self._bus.reader.execute(
                "XREAD", "COUNT", _AT_ONCE, "BLOCK", _BLOCK_MS, "STREAMS", *seen, *seen.values()
            )
            for stream, told in map(listed, listed(reply)):
                for entry_id, fields in entries(told):
                    seen[str(stream)] = entry_id
                    self._meet(str(stream), fields, held)
            if len(held) >= self._chance.randint(1, 40):
                self._chance.shuffle(held)
                await self._put(held)
                held = []

    def _meet(self, stream: str, told: Mapping[str, str], held: list[tuple[str, list[str]]]) -> None:
        if "again" in told or "poison" in told:
            return
        saga_id = told["correlationid"]
        # Decided by saga id, so that all events of a saga are repeated, or none.
        if random.Random(saga_id).random() < self._shuffled:
            self.touched.add(saga_id)
            held.append((stream, flattened({**told, "again": "1"})))
            self.told_again += 1
        if self._chance.random() < self._poison * _EVENTS_OF_A_SAGA / len(_MINE):
            self.touched.add(saga_id)
            held.append((stream, _torn(told)))
            self.poisoned += 1

    async def _put(self, entries: Iterable[tuple[str, list[str]]]) -> None:
        await self._bus.writer.pipeline([("XADD", stream, "*", *fields) for stream, fields in entries])


def _torn(told: Mapping[str, str]) -> list[str]:
    """Return an event that names its saga and has lost its payload."""
    kept = {**told, "poison": "1"}
    del kept["data"]
    return flattened(kept)
