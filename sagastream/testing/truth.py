"""Whether what the coordinator says about a saga is true, judged by the ledgers of those who did it. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sagastream import keys as names
from sagastream.bus import Reply
from sagastream.keys import COORDINATOR, Keys
from sagastream.ledger import State, parse
from sagastream.participant import Participant
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.testing.memory_server import MemoryServer

_GONE = frozenset({State.UNDONE, State.BARRED, State.REFUSED})


@dataclass(frozen=True)
class Seen:
    """One saga at one instant: what its record says, and what the ledgers say about each step."""

    saga_id: str
    status: str
    steps: Mapping[str, State]
    gave_up: frozenset[str]


class Truth:
    """Compares records with ledgers after every command; remembers which ends were told."""

    def __init__(self, server: MemoryServer, prefix: str, sagas: Sequence[Saga], cast: Sequence[Participant]) -> None:
        self._server = server
        self._keys = Keys(prefix, COORDINATOR)
        self._sagas = {(saga.name, str(saga.version)): saga for saga in sagas}
        self._fields = {
            (participant.name, kind.type_name()): participant.ledger_field(kind.type_name())
            for saga in sagas
            for participant in cast
            for kind in saga.event_types()
        }
        self._ends: dict[str, str] = {}

    def saga_ids(self) -> list[str]:
        """Return all sagas there are records of."""
        return _strings(self._server.call("ZRANGE", self._keys.key(names.index("all")), 0, -1))

    def statuses(self) -> dict[str, str]:
        """Return the status of every saga."""
        return {saga_id: self._record(saga_id)[0] or "" for saga_id in self.saga_ids()}

    def lies(self) -> Iterator[str]:
        """Yield everything that is said and is not so."""
        for saga_id in self.saga_ids():
            status, process, version, progress = self._record(saga_id)
            saga = self._sagas.get((process or "", version or ""))
            if saga is None or status is None or progress is None:
                continue
            told = self._ends.setdefault(saga_id, status) if Status(status).is_end else self._ends.get(saga_id)
            if told is not None and told != status:
                yield f"{saga_id} had ended {told} and now says {status}"
            seen = Seen(saga_id, status, self._steps(saga, saga_id), _gave_up(progress))
            for lie in _lies(saga, seen):
                yield f"{saga_id} says {status}, but {lie}"

    def _record(self, saga_id: str) -> list[str | None]:
        key = self._keys.key(names.record(saga_id))
        reply = self._server.call("HMGET", key, "status", "process", "definition_version", "progress")
        return [None if value is None else str(value) for value in reply] if isinstance(reply, list) else [None] * 4

    def _steps(self, saga: Saga, saga_id: str) -> dict[str, State]:
        steps = {BEGINNING: self._state(saga.begun_by, saga_id, BEGINNING)}
        for step in saga.steps:
            field = self._fields.get((step.by, step.done.type_name()))
            steps[step.name] = self._state(step.by, saga_id, field) if field else State.UNKNOWN
        return steps

    def _state(self, participant: str, saga_id: str, field: str) -> State:
        key = self._keys.of(participant).key(names.ledger(saga_id))
        reply = self._server.call("HGET", key, field)
        return parse(None if reply is None else str(reply)).state


def _lies(saga: Saga, seen: Seen) -> Iterator[str]:
    pivot = saga.steps[saga.pivot_at].name if saga.pivot_at is not None else None
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
    yield from _undone_too_early(saga, seen, before)


def _undone_too_early(saga: Saga, seen: Seen, before: Sequence[str]) -> Iterator[str]:
    """Yield steps that were undone while a newer one still had its effect, unless undoing that one had given up."""
    order = [BEGINNING, *before]
    for at, older in enumerate(order):
        if seen.steps[older] is not State.UNDONE:
            continue
        for newer in order[at + 1 :]:
            if seen.steps[newer] in (State.DONE, State.BEGUN) and newer not in seen.gave_up:
                yield f"{older!r} was undone before {newer!r}, which is {seen.steps[newer]}"


def _gave_up(progress: str) -> frozenset[str]:
    facts = json.loads(progress)["facts"]
    return frozenset(step for step, known in facts.items() if "undo gave up" in known or "ledger lost" in known)


def _strings(reply: Reply) -> list[str]:
    return [str(value) for value in reply] if isinstance(reply, list) else []
