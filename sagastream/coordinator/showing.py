"""One whole saga, as every route shows it. Reads; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sagastream.bus import Bus
from sagastream.coordinator import views
from sagastream.coordinator.failing import read_failing
from sagastream.coordinator.listing import Listing
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.missing import Missing, missing
from sagastream.coordinator.records import Records
from sagastream.coordinator.views import StateView
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.definition import Saga
from sagastream.settings import Settings


class Showing:
    """Shows sagas; those of the given tables with everything that follows from their facts."""

    def __init__(self, sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> None:
        self._keys = Keys(settings.key_prefix, COORDINATOR)
        self._connection = bus.query
        self._listing = Listing(Records(bus, self._keys))
        self._sagas = sagas
        self._meanings = Meanings(sagas)

    async def whole(self, saga_id: str) -> tuple[int, StateView] | None:
        """Return the version of a saga's record and everything about it; None if the saga is unknown.

        Raises: ``Undecodable`` for one whose record this library did not write.
        """
        found = await self._listing.whole(saga_id)
        if found is None:
            return None
        stored, history = found
        saga = self._meanings.table(stored.record.progress)
        failing = await read_failing(self._connection, self._keys, saga.participants if saga else (), saga_id)
        return stored.record.version, views.state(stored, saga, history, failing)

    async def missing(self, saga_id: str) -> Missing:
        """Return why nothing is known about a saga."""
        return await missing(self._connection, self._keys, self._sagas, saga_id)
