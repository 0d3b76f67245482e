"""An auditor of trips that were played, and what it has exported."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sagastream.audit import Audit
from sagastream.audit.auditor import Auditor
from sagastream.audit.results import figures
from sagastream.bus import Bus
from sagastream.series import Series
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.together import set_within
from tests.trip import TRIP
from tests.unit.audit.trips import Trips


async def steadily(period: timedelta, call: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Call again and again, a period after the end of each call; a call under way at the stop is cancelled."""
    while not stop.is_set():
        under_way = asyncio.ensure_future(call())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([under_way, stopping], return_when=asyncio.FIRST_COMPLETED)
        under_way.cancel()
        await asyncio.wait([under_way])
        stopping.cancel()
        await set_within(stop, period)


def auditor(trips: Trips, *projects: Audit, ordinal: int = 1, **settings: object) -> Auditor:
    """Return a coordinator's auditor; its rounds come every ten seconds."""
    connection = MemoryConnection(trips.server)
    told = trips.world.settings.model_copy(update={"consumer": ordinal, "audit_share": 1.0, **settings})
    bus = Bus(connection, connection, connection)
    return Auditor([TRIP], bus=bus, settings=told, projects=projects, ticker=steadily)


async def exported(trips: Trips, what: Series) -> dict[str, float]:
    """Return what is exported of one series, by its label if it has one."""
    told = await figures(MemoryConnection(trips.server), trips.world.keys)
    return {"".join(each.labels): each.value for each in told if each.series is what}
