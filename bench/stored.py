"""Stored sagas: a store filled as the coordinator fills it, without any participant at work.

Every record goes through ``advance`` and ``Records.save``, as when the coordinator finds all events of a turn in one
batch. Participants' ledgers and streams stay empty: such a store is for measuring the coordinator's reads.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from coordinator.order_saga import order_saga
from sagastream import Settings, connect
from sagastream.clock import server_ms
from sagastream.coordinator.records import Note, Record, Records
from sagastream.envelope import derived_id
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.advance import advance
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.progress import Fact, Happening, Kind, Progress
from sagastream.transaction import Transaction, Transactor

# Deadlines so far away that no sweep moves what is being measured.
_ORDER = order_saga(1000)
TABLES = (_ORDER, replace(_ORDER, name="renewal"), replace(_ORDER, name="transfer"))
_HOW_MANY = (6, 3, 1)  # of each table's sagas in ten

Turn = tuple[tuple[int, Kind], ...]  # position of a step (-1 is the beginning) and the kind of its fact
_BEGUN, _DONE = (-1, Kind.DONE), Kind.DONE
_REFUSED: Turn = (_BEGUN, (0, _DONE), (1, Kind.REFUSED))
STORIES: dict[str, tuple[int, tuple[Turn, ...]]] = {
    "Completed": (800, ((_BEGUN, (0, _DONE), (1, _DONE), (2, _DONE), (3, _DONE)),)),
    "Compensated": (70, (_REFUSED, ((0, Kind.UNDONE),), ((-1, Kind.UNDONE),))),
    "Failed": (60, ((_BEGUN, (0, Kind.REFUSED)), ((-1, Kind.UNDONE),))),
    "Started": (15, ((_BEGUN,),)),
    "InProgress": (40, ((_BEGUN, (0, _DONE)),)),
    "Compensating": (10, (_REFUSED,)),
    "NeedsAttention": (5, ((_BEGUN, (0, _DONE), (1, _DONE), (2, _DONE), (3, Kind.GAVE_UP)),)),
}
"""How many in a thousand end with which status, and their turns."""
OFTEN = "customer-1"  # the customer with the most sagas
_UNFINISHED = frozenset({"Started", "InProgress", "Compensating", "NeedsAttention"})
_PAST = timedelta(days=20)  # within the coordinator's retention
_RECENT = timedelta(hours=1)
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Life:
    """One saga to be stored."""

    saga_id: str
    saga: Saga
    status: str
    initiator: str
    began_ms: int


def lives(count: int, *, now_ms: int) -> Iterator[Life]:
    """Yield sagas of every table and status, begun at any time of the last weeks; unfinished ones within the hour."""
    chance = random.Random(1)
    statuses = random.Random(1).choices(list(STORIES), [share for share, _ in STORIES.values()], k=count)
    for at, status in enumerate(statuses):
        ago = chance.randrange((_RECENT if status in _UNFINISHED else _PAST) // timedelta(milliseconds=1))
        (saga,) = chance.choices(TABLES, _HOW_MANY)
        # A few customers order all the time, most of them now and then.
        initiator = f"customer-{int(chance.paretovariate(0.5)) % max(1, count // 20)}"
        yield Life(derived_id("stored", str(at)), saga, status, initiator, now_ms - ago)


async def fill(url: str, count: int, *, already: int = 0) -> list[Life]:
    """Store sagas until there are ``count``, of which ``already`` are stored; return all of them."""
    settings = Settings(redis_url=url)
    bus = connect(url, name="bench-fill", block=settings.block)
    try:
        keys = Keys(settings.key_prefix, COORDINATOR)
        records = Records(bus, keys)
        transactor = Transactor(bus.writer, keys, retention=settings.ledger_retention)
        stored = list(lives(count, now_ms=await server_ms(bus.query)))
        for at in range(already, count, _AT_ONCE):
            batch = [tx for life in stored[at : at + _AT_ONCE] for tx in turns(records, life)]
            receipt = await transactor.commit(batch)
            refused = [outcome for outcome in receipt.outcomes if not outcome.is_ok]
            if refused:
                raise RuntimeError(f"the store holds some of these sagas already: {refused[0]}")
        return stored
    finally:
        await bus.close()


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a life, and the fact it states about a step."""

    step: str
    kind: Kind
    at_ms: int
    id: str
    type: str
    by: str
    cause: str
    reason: str


def told(life: Life) -> Iterator[list[Told]]:
    """Yield the events of one life, a turn at a time."""
    at_ms, cause = life.began_ms, ""
    for turn in STORIES[life.status][1]:
        events = []
        for position, kind in turn:
            type_name, step, by = _names(life.saga, position, kind)
            at_ms += 2 + position % 3
            reason = "out of stock" if kind in (Kind.REFUSED, Kind.GAVE_UP) else ""
            events.append(Told(step, kind, at_ms, derived_id(life.saga_id, type_name), type_name, by, cause, reason))
            cause = events[-1].id
        yield events


def turns(records: Records, life: Life) -> Iterator[Transaction]:
    """Yield the transactions of one life, in their order."""
    saga = life.saga
    record = Record(Progress(life.saga_id, saga.name, saga.version, life.initiator), "", 0)
    for events in told(life):
        happenings = [Happening(e.step, e.kind, Fact(e.at_ms, e.id, e.reason)) for e in events]
        notes = [Note(e.at_ms, e.id, e.type, e.by, e.cause, e.step, e.kind, e.reason) for e in events]
        now_ms = events[-1].at_ms
        turn = advance(saga, record.progress, happenings, now_ms=now_ms)
        yield records.save(saga, record, turn, notes, cause=events[-1].id, now_ms=now_ms)
        record = Record(turn.progress, turn.status, record.version + 1)


def _names(saga: Saga, position: int, kind: Kind) -> tuple[str, str, str]:
    """Return the event that states this fact, its step, and its publisher."""
    if position < 0:
        event = saga.begins_with if kind is Kind.DONE else saga.cancelled_by
        assert event is not None  # every one of these tables has a closing event
        return event.type_name(), BEGINNING, saga.begun_by
    step = saga.steps[position]
    if kind is Kind.GAVE_UP:
        return "StepGaveUp", step.name, step.by
    told = {Kind.DONE: step.done, Kind.REFUSED: step.refused, Kind.UNDONE: step.undone}[kind]
    assert told is not None  # the turns refuse and undo only steps that allow it
    return told.type_name(), step.name, step.by
