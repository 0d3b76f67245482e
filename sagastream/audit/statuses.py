"""The indexes that list sagas by their status. Speaks Redis; changes nothing."""

from __future__ import annotations

from sagastream import keys as names
from sagastream.audit.scene import Scene
from sagastream.coordinator.counts import Counts
from sagastream.keys import COUNTS
from sagastream.replies import named
from sagastream.saga.lifecycle import Status


async def status_indexes(scene: Scene) -> dict[tuple[Status, str], str]:
    """Return the key of every possible status index, by status and process."""
    told = await scene.connection.execute("HGETALL", scene.keys.key(COUNTS))
    counts = Counts.of(named(told))
    return {
        (status, process): scene.keys.key(names.index("status", status, process))
        for status in Status
        for process in counts.processes(saga.name for saga in scene.sagas)
    }
