"""Everything known about one saga, side by side: record, history, timer, indexes, ledgers and events. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sagastream import keys as names
from sagastream.coordinator.records import Note
from sagastream.event import StepBarred
from sagastream.ledger import BEGINNING as LEDGER_BEGINNING
from sagastream.ledger import Remembered, State
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Fact, Kind, Progress

Ledger = Mapping[str, Remembered]


class Sighting(NamedTuple):
    """An event as it is in a stream; ``step`` is the step that a request or a library event is about."""

    stream: str
    at_ms: int
    id: str
    type: str
    source: str
    cause: str
    step: str


@dataclass(slots=True)
class Case:
    """One saga. ``sightings`` is None if some of its events are no longer there.

    ``read_until_ms`` is the instant up to which every stream was read; ``is_forgotten`` means that its ledgers may have
    expired.
    """

    saga_id: str
    saga: Saga
    status: Status
    progress: Progress
    initiator: str
    ended_ms: int | None
    notes: Sequence[Note]
    timer_ms: int | None
    indexes: frozenset[str]
    ledgers: Mapping[str, Ledger]
    read_until_ms: int
    is_forgotten: bool = False
    sightings: Sequence[Sighting] | None = None
    followed: frozenset[str] = field(default=frozenset())

    def steps(self) -> Iterator[Row]:
        """Yield every step of the table, the beginning first."""
        saga = self.saga
        undone = saga.cancelled_by.type_name() if saga.cancelled_by else ""
        yield Row(BEGINNING, saga.begun_by, saga.begins_with.type_name(), "", undone)
        for step in saga.steps:
            refused, undone = (kind.type_name() if kind else "" for kind in (step.refused, step.undone))
            yield Row(step.name, step.by, step.done.type_name(), refused, undone)

    def entry(self, row: Row) -> Remembered | None:
        """Return the ledger entry of a step's performer for its outcome."""
        ledger = self.ledgers.get(row.by, {})
        if row.name == BEGINNING:
            return ledger.get(LEDGER_BEGINNING)
        return next((entry for entry in ledger.values() if row.fits(entry)), None)

    def expected_indexes(self) -> frozenset[str]:
        """Return the names of the indexes that must hold the saga."""
        found = {
            names.index("all"),
            names.index("process", self.saga.name),
            names.index("status", self.status, self.saga.name),
        }
        if self.initiator:
            found.add(names.index("initiator", self.initiator))
        return frozenset(found)

    def entries(self) -> Iterator[tuple[str, str, Remembered]]:
        """Yield every ledger entry: participant, handler, entry."""
        for participant, ledger in self.ledgers.items():
            for handler, entry in ledger.items():
                yield participant, handler, entry


class Row(NamedTuple):
    """One step of the table, by the names of its events; a name is empty if there is no such event."""

    name: str
    by: str
    done: str
    refused: str
    undone: str

    def fits(self, entry: Remembered) -> bool:
        """Tell whether a ledger entry is the outcome of this step."""
        match entry.state:
            case State.DONE:
                return entry.type == self.done
            case State.REFUSED:
                return bool(self.refused) and entry.type == self.refused
            case State.UNDONE:
                return bool(self.undone) and entry.type == self.undone
            case State.BARRED:
                return entry.type == StepBarred.type_name() and step_in(entry.data) == self.done
            case _:
                return False


def step_in(data: str) -> str:
    """Return the step that a payload of the library is about, empty if it does not say."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    step = told.get("step") if isinstance(told, dict) else None
    return step if isinstance(step, str) else ""


def note(written: str) -> Note:
    """Read one line of a history.

    Raises: ``ValueError``, ``TypeError`` or ``KeyError`` for one this library did not write.
    """
    told = json.loads(written)
    kind = told.get("kind", "")
    return Note(
        int(told["at"]), told["id"], told["type"], told.get("source", ""), told.get("cause", ""), told.get("step", ""),
        Kind(kind) if kind else "", told.get("reason", ""), told.get("actor", ""),
    )  # fmt: skip


def facts_of(notes: Sequence[Note]) -> dict[str, dict[Kind, Fact]]:
    """Return the facts in a history; of two that say the same the earlier one, as in progress."""
    facts: dict[str, dict[Kind, Fact]] = {}
    for told in notes:
        if told.kind:
            fact, known = Fact(told.at_ms, told.id, told.reason, told.actor), facts.setdefault(told.step, {})
            kind = Kind(told.kind)
            known[kind] = min(known.get(kind, fact), fact)
    return facts
