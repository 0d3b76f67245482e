"""Records: progress as a Redis hash, with history, indexes, timer and figures. Speaks Redis; decides nothing.

Shape of ``record:<saga>``: ``version`` (raised by every write, and its guard), ``status``, ``process``,
``definition_version``, ``initiator``, ``started_ms``, ``ended_ms``, ``progress`` (JSON: facts, asks, announcements).
One transaction writes everything that a turn leads to, requests and announcements included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from pydantic_core import from_json, to_json

from sagastream import keys as names
from sagastream import tracing
from sagastream.bus import Bus
from sagastream.envelope import Envelope, derived_id, publishable
from sagastream.errors import ReplyError, Undecodable
from sagastream.event import BarRequested, Event, RetryRequested, StepRequest, UndoRequested
from sagastream.keys import CHANGES, COORDINATOR, COUNTS, TIMERS
from sagastream.reader import Reader
from sagastream.saga import lifecycle
from sagastream.saga.advance import Advance, Asked
from sagastream.saga.counting import counted
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.progress import Ask, Fact, Kind, Progress, Request
from sagastream.transaction import Transaction

_REQUESTS: dict[Request, type[StepRequest]] = {
    Request.UNDO: UndoRequested,
    Request.BAR: BarRequested,
    Request.RETRY: RetryRequested,
}
_KINDS = {str(kind): kind for kind in Kind}  # looking a value up in the enum is many times slower
_NOTED = ("at", "id", "type", "source", "cause", "step", "kind", "reason", "actor")  # the fields of a note, as stored
OPERATOR = "operator"  # the source, in histories, of what a person did
CHANGES_KEPT = 10_000  # commits, each naming the sagas it wrote; views that fall further behind reload everything
FIELDS = ("version", "status", "process", "definition_version", "initiator", "progress")


@dataclass(frozen=True, slots=True)
class Record:
    """A saga as stored: its progress, the status written with it, and the version the next write expects."""

    progress: Progress
    status: str
    version: int

    @property
    def is_new(self) -> bool:
        """Tell whether nothing is stored yet."""
        return self.version == 0


class Note(NamedTuple):
    """One line of a saga's history: an event, or an act of the coordinator or of a person (``actor``)."""

    at_ms: int
    id: str
    type: str
    source: str
    cause: str
    step: str = ""
    kind: str = ""
    reason: str = ""
    actor: str = ""

    def written(self) -> str:
        """Return the note as stored."""
        return _json({name: value for name, value in zip(_NOTED, self, strict=True) if value})


class Records:
    """Reads records and turns an advance into the transaction that stores it."""

    def __init__(self, bus: Bus, keys: names.Keys) -> None:
        self.reader = Reader(bus.query, keys)

    async def load(self, saga_id: str) -> Record | None:
        """Return a saga's record, None if there is none.

        Raises: ``Undecodable`` for one that this library did not write.
        """
        (found,) = await self.load_each([saga_id])
        if isinstance(found, Undecodable):
            raise found
        return found

    async def load_each(self, saga_ids: Sequence[str]) -> list[Record | Undecodable | None]:
        """Return the records of several sagas, in their order; an error for each one this library did not write."""
        stored = await self.reader.read_each(map(names.record, saga_ids), *FIELDS)
        return [read_record(saga_id, values) for saga_id, values in zip(saga_ids, stored, strict=True)]

    def save(
        self, saga: Saga, record: Record, turn: Advance, notes: Sequence[Note], *, cause: str, now_ms: int
    ) -> Transaction:
        """Return the transaction that stores what one turn led to, unless the record has changed meanwhile."""
        before, progress = record.progress, turn.progress
        saga_id = progress.saga_id
        key = names.record(saga_id)
        tx = Transaction(self.reader, saga_id=saga_id, key=saga_id, now_ms=now_ms)
        tx.expect(key, "version", None if record.is_new else str(record.version))
        tx.set(key, _fields(record, turn))
        self._index(tx, record, turn)
        if turn.timer_ms is None:
            tx.unschedule(TIMERS, saga_id)
        else:
            tx.schedule(TIMERS, saga_id, turn.timer_ms)
        tally = counted(saga, before, turn)
        if tally:
            tx.tally(COUNTS, tally)
        for asked in turn.asks:
            envelope = _request(saga, progress, asked, cause)
            notes = [*notes, Note(now_ms, envelope.id, envelope.type, COORDINATOR, cause, asked.step)]
            tx.tell(names.requests(saga.performers[asked.step]), envelope)
        for name, event in turn.announcements:
            id_ = derived_id(saga_id, event.type_name(), name)
            envelope = _from_coordinator(progress, event, cause, id_)
            notes = [*notes, Note(now_ms, envelope.id, envelope.type, COORDINATOR, cause)]
            tx.publish(envelope)
        if notes:
            tx.push(names.history(saga_id), *(note.written() for note in notes))
        tx.mention(CHANGES, saga_id, most=CHANGES_KEPT)
        return tx

    def _index(self, tx: Transaction, record: Record, turn: Advance) -> None:
        progress, at_ms = turn.progress, turn.progress.start_ms
        moved = record.is_new or at_ms != record.progress.start_ms
        if moved:
            tx.schedule(names.index("all"), progress.saga_id, at_ms)
            tx.schedule(names.index("process", progress.definition), progress.saga_id, at_ms)
            if progress.initiator:
                tx.schedule(names.index("initiator", progress.initiator), progress.saga_id, at_ms)
        if record.status != turn.status:
            if record.status:
                tx.unschedule(names.index("status", record.status, progress.definition), progress.saga_id)
            tx.schedule(names.index("status", turn.status, progress.definition), progress.saga_id, at_ms)
        elif moved:
            tx.schedule(names.index("status", turn.status, progress.definition), progress.saga_id, at_ms)


def _json(told: object) -> str:
    """Return compact JSON; pydantic's writer takes a quarter of the standard one's time if there is no enum."""
    try:
        return to_json(told).decode()
    except ValueError:  # lone surrogates, as the name of an unknown publisher may contain
        return json.dumps(told, separators=(",", ":"))


def read_json(written: str) -> dict[str, Any]:
    """Read JSON written by ``_json``.

    Raises: ``ValueError``.
    """
    try:
        return cast("dict[str, Any]", from_json(written))
    except ValueError:
        return cast("dict[str, Any]", json.loads(written))


def read_record(saga_id: str, fields: Sequence[str | None] | ReplyError) -> Record | Undecodable | None:
    """Return the record of these ``FIELDS``; None if there is none, an error if this library did not write it."""
    try:
        if isinstance(fields, ReplyError):
            raise fields
        version, status, process, defined, initiator, progress = fields
        if version is None and progress is None:
            return None
        if version is None or progress is None:
            raise ValueError("it has no version or no progress")
        known = _progress(saga_id, process or "", int(defined or 0), initiator or "", progress)
        return Record(known, status or "", int(version))
    except (ReplyError, ValueError, TypeError, KeyError, AttributeError) as error:
        return Undecodable(f"the record of {saga_id} cannot be read: {type(error).__name__}: {error}")


def unwritten(envelope: Envelope) -> Record:
    """Return the record of a saga of which nothing is stored yet."""
    return Record(
        Progress(envelope.saga_id, envelope.definition, int(envelope.definition_version), envelope.initiator),
        "",
        0,
    )


def _fields(record: Record, turn: Advance) -> Mapping[str, str | int]:
    progress = turn.progress
    fields: dict[str, str | int] = {
        "version": record.version + 1,
        "status": turn.status,
        "progress": _written(progress),
    }
    if record.is_new:
        fields |= {
            "process": progress.definition,
            "definition_version": progress.version,
            "initiator": progress.initiator,
        }
    if progress.began_ms is not None and record.progress.began_ms != progress.began_ms:
        fields["started_ms"] = progress.began_ms
    if turn.status.is_end and record.status != turn.status:
        fields["ended_ms"] = progress.last_ms
    return fields


def _request(saga: Saga, progress: Progress, asked: Asked, cause: str) -> Envelope:
    kind = _REQUESTS[asked.request]
    done = saga.begins_with if asked.step == BEGINNING else next(s.done for s in saga.steps if s.name == asked.step)
    event = kind(
        step=done.type_name(),
        seen=lifecycle.proof(saga, progress, asked.step),
        began=progress.began_ms,
    )
    return _from_coordinator(
        progress, event, cause, derived_id(progress.saga_id, kind.type_name(), asked.step, str(asked.times))
    )


def _from_coordinator(progress: Progress, event: Event, cause: str, id: str) -> Envelope:
    return Envelope(
        id=id,
        source=COORDINATOR,
        type=event.type_name(),
        subject=progress.saga_id,
        saga_id=progress.saga_id,
        cause=cause,
        initiator=progress.initiator,
        definition=progress.definition,
        definition_version=str(progress.version),
        data=publishable(event),
        traceparent=tracing.current(),
        schema=f"urn:event:{event.type_name()}:{event.schema_version}",
    )


def _written(progress: Progress) -> str:
    facts = {
        step: {str(kind): _fields_of(fact) for kind, fact in known.items()} for step, known in progress.facts.items()
    }
    asks = {step: [str(ask.request), ask.times, ask.at_ms] for step, ask in progress.asks.items()}
    return _json({"facts": facts, "asks": asks, "announced": progress.announced})


def _fields_of(fact: Fact) -> list[int | str]:
    if fact.actor:
        return [fact.at_ms, fact.event_id, fact.reason, fact.actor]
    return [fact.at_ms, fact.event_id, fact.reason] if fact.reason else [fact.at_ms, fact.event_id]


def _progress(saga_id: str, definition: str, version: int, initiator: str, written: str) -> Progress:
    told = read_json(written)
    return Progress(
        saga_id=saga_id,
        definition=definition,
        version=version,
        initiator=initiator,
        facts={
            step: {_KINDS[kind]: Fact(*fact) for kind, fact in known.items()} for step, known in told["facts"].items()
        },
        asks={step: Ask(Request(request), times, at) for step, (request, times, at) in told["asks"].items()},
        announced=tuple(told["announced"]),
    )
