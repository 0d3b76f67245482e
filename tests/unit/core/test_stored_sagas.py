"""The generator of stored sagas leaves what the engine leaves: the same keys, fields, indexes, counters and notes."""

from __future__ import annotations

import json
import re

import pytest

from bench.stored import STORIES, TABLES, Life, Told, told, turns
from sagastream.bus import Reply
from sagastream.coordinator.records import Records
from sagastream.envelope import Envelope, instant, pairs
from sagastream.event import StepGaveUp
from sagastream.keys import COORDINATOR
from sagastream.saga.progress import Kind
from sagastream.transaction import Transactor
from tests.unit.core.world import World, in_virtual_time

READ: dict[str, tuple[str | int, ...]] = {
    "hash": ("HGETALL",),
    "list": ("LRANGE", 0, -1),
    "zset": ("ZRANGE", 0, -1),
    "stream": ("XRANGE", "-", "+"),
}


def contents(world: World) -> dict[str, object]:
    """Return what the coordinator has written, instants and durations aside."""
    found: dict[str, object] = {}
    keys = world.server.call("KEYS", f"{world.keys.root}:*")
    assert isinstance(keys, list)
    for key in sorted(map(str, keys)):
        name = key.removeprefix(f"{world.keys.root}:")
        if name.split(":")[0] in ("store", "groups", "streams", "snapshots", "tables"):
            continue  # what a coordinator keeps for itself
        command, *rest = READ[str(world.server.call("TYPE", key))]
        held = world.server.call(str(command), key, *rest)
        if held:  # a stream that somebody made only to read it holds nothing
            found[name] = _timeless(name, held)
    return found


def _timeless(name: str, reply: Reply) -> object:
    assert isinstance(reply, list)
    if name == "counts":
        counters = dict(zip(map(str, reply[::2]), map(str, reply[1::2]), strict=True))
        return sorted({re.sub(r"(duration\|.*)\|[^|]*$", r"\1|…", counter) for counter in counters})
    if name.startswith("history:"):
        return sorted(json.dumps({**json.loads(str(note)), "at": 0}, sort_keys=True) for note in reply)
    if name.startswith(("record:", "events:", "requests:", "changes")):
        # Entry ids and instants differ; ids of events do not.
        return re.sub(r"\b1[0-9]{12}(-\d+)?\b|\d{4}-\d\d-\d\dT[0-9:.]+Z", "…", repr(reply))
    return reply


def payload(life: Life, event: Told) -> str:
    """Return what a coordinator reads of an event's payload."""
    if event.kind is not Kind.GAVE_UP:
        return json.dumps({"reason": event.reason})
    (done,) = (step.done for step in life.saga.steps if step.name == event.step)
    return StepGaveUp(step=done.type_name(), undoing=False, reason=event.reason, attempts=3).payload()


@pytest.mark.parametrize("status", STORIES)
@in_virtual_time
async def test_a_generated_saga_is_stored_as_one_that_ran(status: str) -> None:
    """Every story, told to a coordinator event by event as its turns come, and generated."""
    ran, generated = World(), World()
    life = Life("saga-1", TABLES[1], status, "customer-1", ran.now_ms() - 1000)

    for turn in told(life):
        for event in turn:
            envelope = Envelope(
                id=event.id, source=event.by, type=event.type, subject=life.saga_id, saga_id=life.saga_id,
                cause=event.cause, initiator=life.initiator, definition=life.saga.name,
                definition_version=str(life.saga.version), data=payload(life, event), time=instant(event.at_ms),
            )  # fmt: skip
            ran.append(event.by, event.type, pairs(envelope.fields()))
        await ran.work(ran.coordinator(*TABLES))
    records = Records(generated.wire().bus, generated.keys)
    transactor = Transactor(generated.wire().bus.writer, generated.keys, retention=generated.settings.ledger_retention)
    for transaction in turns(records, life):
        (outcome,) = (await transactor.commit([transaction])).outcomes
        assert outcome.is_ok

    assert generated.hash(COORDINATOR, "record:saga-1")["status"] == status
    assert contents(generated) == contents(ran)
