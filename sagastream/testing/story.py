"""The timeline of a run: its faults, and the course of each saga, in one order. Reads only."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, TypeVar

from sagastream import keys as names
from sagastream.bus import Bus
from sagastream.coordinator.listing import Stored
from sagastream.coordinator.records import Records
from sagastream.coordinator.views import state
from sagastream.keys import COORDINATOR, Keys
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_keyspace import List
from sagastream.timeline import rows

if TYPE_CHECKING:
    from sagastream.testing.stage import Stage

T = TypeVar("T")


def told(stage: Stage) -> list[str]:
    """Return the timeline of a run so far, line by line; instants are the server's, relative to the beginning."""
    start = stage.story[0][0] if stage.story else 0
    lines = [(at, order, what) for order, (at, what) in enumerate(stage.story)]
    lines += [(at, len(stage.story), what) for at, what in _happenings(stage)]
    return [f"{(at - start) / 1000:+10.3f}  {what}" for at, _, what in sorted(lines)]


def _happenings(stage: Stage) -> Iterator[tuple[int, str]]:
    numbers = {saga_id: number for number, saga_id in stage.begun.items()}
    keys = Keys(stage.settings.key_prefix, COORDINATOR)
    connection = MemoryConnection(stage.server)
    records = Records(Bus(connection, connection, connection), keys)
    for saga_id in stage.truth.saga_ids():
        record = _at_once(records.load(saga_id))
        saga, _ = stage.truth.ledgers(saga_id)
        if record is None or saga is None:
            continue
        history = stage.server.space.values.get(keys.key(names.history(saga_id)).encode())
        notes = [note.decode() for note in history] if isinstance(history, List) else []
        whose = f"saga {numbers.get(saga_id, saga_id)}"
        for row in rows(state(Stored(record, None), saga, notes)):
            told = "  ".join(filter(None, (row.word, row.step, row.service, row.what)))
            yield int(row.at.timestamp() * 1000), f"  {whose} {row.mark.shape} {told}"


def _at_once(reading: Coroutine[object, object, T]) -> T:
    """Return the result of a coroutine that never waits; the run's own loop may be running."""
    try:
        reading.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    raise RuntimeError("reading from memory does not wait")
