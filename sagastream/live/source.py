"""Reads the data that is shown live: sagas as in lists, and figures of all together. Changes nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from sagastream.bus import Bus
from sagastream.coordinator import views
from sagastream.coordinator.fleet import Fleet, read_fleet
from sagastream.coordinator.listing import Listing, Stored
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import Records
from sagastream.keys import COORDINATOR, Keys
from sagastream.live.feed import Changes
from sagastream.live.messages import Batch, Change
from sagastream.live.pulse import PulseView, pulse
from sagastream.saga.definition import Saga
from sagastream.settings import Settings

_SLICE = 50  # sagas prepared at a time; then other tasks get their turn
_READINGS = 6  # of the fleet, from which rates per second are computed


class Source:
    """Reads the state of the sagas of these tables, as followers are shown it."""

    def __init__(self, sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> None:
        self._sagas = tuple(sagas)
        self._query = bus.query
        self._keys = Keys(settings.key_prefix, COORDINATOR)
        self._meanings = Meanings(sagas)
        self._fleets: deque[Fleet] = deque(maxlen=_READINGS)
        self.listing = Listing(Records(bus, self._keys))

    async def batch(self, changes: Changes) -> Batch:
        """Return the current state of the changed sagas; one with an unreadable record counts as removed."""
        shown: dict[str, Change] = {}
        for at in range(0, len(changes.sagas), _SLICE):
            part = changes.sagas[at : at + _SLICE]
            for saga_id, stored in zip(part, await self.listing.find_each(part), strict=True):
                shown[saga_id] = self._change(stored) if stored is not None else Change()
            await asyncio.sleep(0)
        return Batch(changes.position, shown)

    async def pulse(self) -> PulseView:
        """Return the figures of all sagas, with rates since the oldest of the last readings."""
        fleet = await read_fleet(self._query, self._keys, [saga.name for saga in self._sagas])
        before = self._fleets[0] if self._fleets else None
        self._fleets.append(fleet)
        return pulse(fleet, before, self._sagas)

    def forget(self) -> None:
        """Drop the last readings of the fleet: they are too old for current rates."""
        self._fleets.clear()

    def _change(self, stored: Stored) -> Change:
        view = views.glance(stored, self._meanings.table(stored.record.progress), is_one_of_many=True)
        return Change(view.business_process, view.status, view.model_dump_json(by_alias=True))
