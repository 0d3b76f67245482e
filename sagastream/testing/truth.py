"""Checks the coordinator's records of sagas against the ledgers of the participants. Reads only.

It checks after every commit, so it sees every state that ever existed; and it remembers earlier reports.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sagastream import keys as names
from sagastream.event import StepBarred
from sagastream.keys import COORDINATOR, TIMERS, Keys
from sagastream.ledger import State, parse
from sagastream.participant import Participant
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Kind
from sagastream.testing.memory_keyspace import Hash, SortedSet
from sagastream.testing.memory_server import MemoryServer

POISON = b"poison-"  # prefix of the ids of events that the simulation made unreadable
_GONE = frozenset({State.UNDONE, State.BARRED, State.REFUSED})
_AFTER: Mapping[State, frozenset[State]] = {
    State.DONE: frozenset({State.UNDONE}),
    State.REFUSED: frozenset(),
    State.UNDONE: frozenset(),
    State.BARRED: frozenset(),
}
_FORWARD = frozenset({Status.STARTED, Status.IN_PROGRESS, Status.COMPLETED})


@dataclass(frozen=True)
class Seen:
    """One saga at one instant: the status in its record, and the state of each step in the ledgers."""

    saga: Saga
    status: Status
    steps: Mapping[str, State]
    gave_up: frozenset[str]


@dataclass
class _Known:
    """What was last read of one saga: raw, so that unchanged data cost nothing."""

    saga: Saga
    record: bytes
    ledgers: list[tuple[str, str, bytes]]  # step, field of the ledger, key of the ledger
    version: bytes = b""
    texts: list[bytes | None] = field(default_factory=list)
    steps: dict[str, State] = field(default_factory=dict)
    progress: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    status: Status | None = None
    has_turned_back: bool = False


class Truth:
    """Compares records with ledgers; remembers reported ends, and ledgers that were deleted."""

    def __init__(self, server: MemoryServer, prefix: str, sagas: Sequence[Saga], cast: Sequence[Participant]) -> None:
        self.harmed: set[str] = set()
        self.poisoned: set[str] = set()
        self.seen: Counter[str] = Counter()
        self._values = server.space.values
        self._keys = Keys(prefix, COORDINATOR)
        self._sagas = {(saga.name.encode(), b"%d" % saga.version): saga for saga in sagas}
        self._cast = {participant.name: participant for participant in cast}
        self._index = self._keys.key(names.index("all")).encode()
        self._timers = self._keys.key(TIMERS).encode()
        self._known: dict[bytes, _Known] = {}
        self._lost: dict[tuple[str, str], dict[str, State]] = {}
        self.told: dict[str, set[tuple[str, str, str]]] = {}
        """Every event ever published about each saga, even if trimmed since: type, step of a bar, id."""
        server.space.on_added = self._hear

    def saga_ids(self) -> list[str]:
        """Return the ids of all sagas with a record."""
        index = self._values.get(self._index)
        return [saga_id.decode() for _, saga_id in index.order] if isinstance(index, SortedSet) else []

    def statuses(self) -> dict[str, str]:
        """Return the status of every saga."""
        records = {
            saga_id: self._values.get(self._keys.key(names.record(saga_id)).encode()) for saga_id in self.saga_ids()
        }
        return {
            saga_id: record.get(b"status", b"").decode()
            for saga_id, record in records.items()
            if isinstance(record, Hash)
        }

    def lie(self) -> str | None:
        """Return something that is reported and untrue, or None."""
        index = self._values.get(self._index)
        for saga_id in list(index.scores) if isinstance(index, SortedSet) else ():
            known = self._known.get(saga_id) or self._meet(saga_id)
            if known is None:
                continue
            lie = self._look(saga_id.decode(), known)
            if lie is not None:
                return f"{saga_id.decode()} says {known.status}, but {lie}"
        return None

    def _hear(self, key: bytes, fields: Sequence[bytes]) -> None:
        """Remember an event at the instant of its publication."""
        if b":events:" not in key:
            return
        told = dict(zip(fields[::2], fields[1::2], strict=True))
        if told[b"id"].startswith(POISON):
            return
        kind = told[b"type"].decode()
        about = json.loads(told[b"data"])["step"] if kind == StepBarred.type_name() else ""
        self.told.setdefault(told[b"correlationid"].decode(), set()).add((kind, about, told[b"id"].decode()))

    def done_steps(self, saga_id: str) -> dict[str, set[str]]:
        """Return the steps that the coordinator of an unfinished saga knows as done: ledger fields by participant."""
        known = self._known.get(saga_id.encode())
        found: dict[str, set[str]] = {}
        if known is None or known.status is None or known.status.is_end or saga_id in self.harmed:
            return found
        for step, name, _ in known.ledgers:
            if Kind.DONE in known.progress.get(step, {}):
                found.setdefault(known.saga.performers[step], set()).add(name)
        return found

    def ledgers(self, saga_id: str) -> tuple[Saga | None, dict[str, State]]:
        """Return the table of a saga and the state of each of its steps."""
        known = self._known.get(saga_id.encode())
        return (known.saga, dict(known.steps)) if known else (None, {})

    def lose(self, saga_id: str, participant: str, states: Mapping[str, State]) -> None:
        """Record that a ledger is about to be deleted; its effects stay, and remain true."""
        known = self._known[saga_id.encode()]
        self.harmed.add(saga_id)
        key = self._keys.of(participant).key(names.ledger(saga_id)).encode()
        for step, name, ledger in known.ledgers:
            if ledger == key and states.get(name):
                self._lost.setdefault((saga_id, step), {})[name] = states[name]

    def _meet(self, saga_id: bytes) -> _Known | None:
        key = self._keys.key(names.record(saga_id.decode())).encode()
        record = self._values.get(key)
        if not isinstance(record, Hash):
            return None
        saga = self._sagas.get((record.get(b"process", b""), record.get(b"definition_version", b"")))
        if saga is None:
            return None
        steps = [(BEGINNING, saga.begun_by, BEGINNING)]
        for step in saga.steps:
            of_step = self._cast[step.by].ledger_field(step.done.type_name()) if step.by in self._cast else None
            if of_step is not None:
                steps.append((step.name, step.by, of_step))
        ledger = names.ledger(saga_id.decode())
        ledgers = [(step, name, self._keys.of(by).key(ledger).encode()) for step, by, name in steps]
        unknown = dict.fromkeys(saga.names, State.UNKNOWN)
        known = self._known[saga_id] = _Known(saga, key, ledgers, steps=unknown)
        return known

    def _look(self, saga_id: str, known: _Known) -> str | None:
        record = self._values.get(known.record)
        if not isinstance(record, Hash):
            return "its record is gone"
        version, texts = record[b"version"], [self._text(key, name) for _, name, key in known.ledgers]
        is_written, is_done = version != known.version, texts != known.texts
        if not (is_written or is_done):
            return None
        if is_done:
            lie = self._learn(saga_id, known, texts)
            if lie is not None:
                return lie
        before = known.status
        if is_written:
            known.version, known.status = version, Status(record[b"status"].decode())
            known.progress = json.loads(record[b"progress"])["facts"]
            if before is None or before is not known.status:
                self.seen[known.status] += 1
        assert known.status is not None  # set at the first reading
        gave_up = frozenset(
            step for step, facts in known.progress.items() if Kind.UNDO_GAVE_UP in facts or Kind.LOST in facts
        )
        seen = Seen(known.saga, known.status, known.steps, gave_up)
        lies = [*self._of_record(saga_id, known, before), *_of_steps(seen)]
        return lies[0] if lies else None

    def _text(self, key: bytes, name: str) -> bytes | None:
        ledger = self._values.get(key)
        return ledger.get(name.encode()) if isinstance(ledger, Hash) else None

    def _learn(self, saga_id: str, known: _Known, texts: list[bytes | None]) -> str | None:
        """Take over the ledgers' states; return a change of state that must never happen, or None."""
        for at, (step, name, _) in enumerate(known.ledgers):
            text = texts[at]
            state = State.UNKNOWN if text is None else State(text.partition(b"\n")[0].decode())
            before = known.steps.get(step, State.UNKNOWN)
            lost = self._lost.get((saga_id, step), {}).get(name)
            if (
                lost is not None
                and lost in _AFTER
                and state in (State.UNKNOWN, State.BARRED, State.GAVE_UP, State.UNREAD, State.BEGUN, State.REFUSED)
            ):
                state = lost  # the effect in a deleted ledger still happened
            if state is not before:
                self.seen[f"step {state or 'forgotten'}"] += 1
                if before in _AFTER and state not in _AFTER[before] and lost is None:
                    return f"the ledger of {step!r} said {before} and says {state or 'nothing'}"
            elif known.texts and state in _AFTER and text != known.texts[at] and lost is None:
                return f"{step!r} was {state} twice: {parse(_str(known.texts[at])).id}, {parse(_str(text)).id}"
            known.steps[step] = state
        known.texts = texts
        return None

    def _of_record(self, saga_id: str, known: _Known, before: Status | None) -> Iterator[str]:
        status = known.status
        assert status is not None  # set at the first reading
        if before is not None and before.is_end and before is not status:
            yield f"it had ended {before}"
        if status is Status.COMPENSATING:
            known.has_turned_back = True
        if known.has_turned_back and status in _FORWARD and saga_id not in self.harmed:
            yield "it had been turned back"
        timers = self._values.get(self._timers)
        has_timer = isinstance(timers, SortedSet) and saga_id.encode() in timers.scores
        if has_timer is status.is_end:
            yield "it has ended and a timer is set" if has_timer else "no timer is set"
        if status is Status.NEEDS_ATTENTION and before is not status:
            for fact in {fact for facts in known.progress.values() for fact in facts}:
                self.seen[f"attention: {fact}"] += fact in _TROUBLE
        for step, facts in known.progress.items():
            for fact in facts:
                if fact in (Kind.OVERDUE, Kind.GAVE_UP, Kind.UNDO_GAVE_UP, Kind.CANCELLED, Kind.LOST, Kind.POISONED):
                    self.seen[f"fact: {fact}"] += 1
            if Kind.LOST in facts and saga_id not in self.harmed:
                yield f"the ledger of {step!r} is whole, and called lost"


_TROUBLE = frozenset({Kind.UNDO_GAVE_UP, Kind.LOST, Kind.POISONED, Kind.GAVE_UP, Kind.OVERDUE, Kind.REFUSED})


def _of_steps(seen: Seen) -> Iterator[str]:
    saga = seen.saga
    pivot = saga.pivot
    before = [step.name for step in saga.steps[: saga.pivot_at]] if pivot else [step.name for step in saga.steps]
    is_confirmed = pivot is not None and seen.steps[pivot] is State.DONE
    if is_confirmed:
        for step in before:
            if seen.steps[step] is State.UNDONE:
                yield f"{step!r} was undone although {pivot!r} is done"
    if seen.status == Status.COMPLETED:
        for step, state in seen.steps.items():
            if state is not State.DONE:
                yield f"{step!r} is {state or 'unknown'}"
    if seen.status in (Status.COMPENSATED, Status.FAILED):
        if is_confirmed:
            yield f"{pivot!r} is done"
        refused = next((at for at, step in enumerate(before) if seen.steps[step] is State.REFUSED), len(before))
        for at, step in enumerate(before):
            if seen.steps[step] not in _GONE and not (at > refused and seen.steps[step] is State.UNKNOWN):
                yield f"{step!r} is {seen.steps[step] or 'unknown'}"
        if saga.cancelled_by is not None and seen.steps[BEGINNING] is not State.UNDONE:
            yield f"the beginning is {seen.steps[BEGINNING] or 'unknown'}"
    yield from _undone_too_early(seen, before)


def _undone_too_early(seen: Seen, before: Sequence[str]) -> Iterator[str]:
    """Yield steps that were undone while a newer one still had its effect, unless undoing that one had given up."""
    order = [BEGINNING, *before]
    for at, older in enumerate(order):
        if seen.steps[older] is not State.UNDONE:
            continue
        for newer in order[at + 1 :]:
            if seen.steps[newer] in (State.DONE, State.BEGUN) and newer not in seen.gave_up:
                yield f"{older!r} was undone before {newer!r}, which is {seen.steps[newer]}"


def _str(text: bytes | None) -> str | None:
    return None if text is None else text.decode()
