"""Rules about effects: what ledgers remember, what the record knows and which events are in the streams. Pure.

Only ended sagas are judged: while a saga is under way, any of the three may be ahead of the others. What a person
closed is that person's decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sagastream.audit.case import Case, Sighting
from sagastream.audit.findings import Answer, Unknown, Wrong
from sagastream.envelope import epoch_ms
from sagastream.errors import Undecodable
from sagastream.event import LedgerLost, StepBarred, StepGaveUp
from sagastream.keys import COORDINATOR
from sagastream.ledger import Remembered, State
from sagastream.saga.definition import BEGINNING
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Fact, Kind

FORGOTTEN = Unknown("ledgers expired")
TRIMMED = Unknown("streams trimmed")
BY_HAND = Unknown("closed by a person")
# What the record knows about a step, and the states its ledger may then have; the first known kind counts.
_STATES: Mapping[Kind, tuple[State, ...]] = {
    Kind.UNDONE: (State.UNDONE,),
    Kind.DONE: (State.DONE,),
    Kind.REFUSED: (State.REFUSED,),
    Kind.BARRED: (State.BARRED, State.REFUSED),
}
_STATED = frozenset({Kind.STATED_DONE, Kind.STATED_UNDONE})
_TOLD_OFTEN = frozenset({StepGaveUp.type_name(), LedgerLost.type_name()})


def ledgers_agree(case: Case) -> Answer:
    """Judge whether record and performer's ledger agree on every step of an ended saga, by the same event."""
    if not case.status.is_end:
        return None
    if case.status is Status.ABORTED:
        return BY_HAND
    wrong: list[Wrong] = []
    unknown = is_stated = False
    for row in case.steps():
        known = case.progress.facts.get(row.name, {})
        if not known.keys().isdisjoint(_STATED):
            is_stated = True  # a person's statement, where the ledger could no longer tell
            continue
        kind = next((kind for kind in _STATES if kind in known), None)
        entry = case.entry(row)
        if kind is None:
            if entry is not None and _is_read(case, entry):
                wrong.append(Wrong(f"nothing of {row.name!r}, as the record", f"{row.by} says {entry.state}"))
        elif entry is None and case.is_forgotten:
            unknown = True
        elif entry is None or entry.state not in _STATES[kind]:
            said = entry.state if entry is not None else "nothing"
            wrong.append(Wrong(f"{row.name!r} {kind}, as the record", f"{row.by} says {said}"))
        elif entry.state == str(kind) and entry.id != known[kind].event_id:
            wrong.append(Wrong(f"{row.name!r} {kind} by event {known[kind].event_id}", f"{row.by} says {entry.id}"))
    if wrong:
        return wrong
    return FORGOTTEN if unknown else BY_HAND if is_stated else []


def succeeds_once(case: Case) -> Answer:
    """Judge whether a step is done at most once per saga: one success under one key, none beside a refusal or bar."""
    if case.sightings is None:
        return TRIMMED
    by_type = _ids(case.sightings)
    wrong = []
    for row in case.steps():
        for kind in filter(None, (row.done, row.refused, row.undone)):
            if len(by_type.get(kind, ())) > 1:
                wrong.append(Wrong(f"one {kind}", f"{len(by_type[kind])}: {', '.join(sorted(by_type[kind]))}"))
        barred = {s.id for s in case.sightings if s.type == StepBarred.type_name() and s.step == row.done}
        for kind, ids in ((row.refused, by_type.get(row.refused)), (StepBarred.type_name(), barred)):
            if ids and by_type.get(row.done) and row.name != BEGINNING:
                wrong.append(Wrong(f"{row.done} or {kind}", "both"))
    return wrong


def effects_have_events(case: Case) -> Answer:
    """Judge whether every event known to the record, the history and the ledgers is in the streams."""
    if not case.status.is_end:
        return None
    if case.sightings is None:
        return TRIMMED
    seen = {sighting.id for sighting in case.sightings}
    return [
        Wrong(f"event {id_} of {what} in its stream", "it is not there")
        for id_, what in dict(_told(case)).items()
        if id_ not in seen
    ]


def events_have_effects(case: Case) -> Answer:
    """Judge whether every event in the streams is known to the record, to the history or to a ledger."""
    if not case.status.is_end:
        return None
    if case.sightings is None:
        return TRIMMED
    if case.status is Status.ABORTED:
        return BY_HAND
    known = {note.id for note in case.notes} | {entry.id for _, _, entry in case.entries()}
    late = case.saga.cancellation.type_name() if case.saga.cancellation else ""
    wrong = {}
    for sighting in case.sightings:
        if sighting.id in known or sighting.type in _TOLD_OFTEN or sighting.type == late:
            continue  # give-ups are reported repeatedly; a cancellation that came too late is not recorded
        if case.is_forgotten and not case.ledgers.get(sighting.source) and sighting.source != COORDINATOR:
            continue
        wrong[sighting.id] = Wrong("an effect for every event", f"nobody knows {sighting.type} {sighting.id}")
    return list(wrong.values())


def _told(case: Case) -> Iterator[tuple[str, str]]:
    """Yield the id of every event that must stand in a stream, and what it is about."""
    for step, kind, fact in _facts(case):
        if not fact.actor and kind not in (Kind.OVERDUE, Kind.POISONED):
            yield fact.event_id, f"{step!r} {kind}"
    for note in case.notes:
        if note.source == COORDINATOR and not note.kind:  # a request or an announcement
            yield note.id, note.type
    for participant, handler, entry in case.entries():
        if entry.state.is_outcome and entry.has_event and entry.type in case.followed and _is_read(case, entry):
            yield entry.id, f"{participant}.{handler} {entry.state}"


def _facts(case: Case) -> Iterator[tuple[str, Kind, Fact]]:
    for step, known in case.progress.facts.items():
        for kind, fact in known.items():
            yield step, kind, fact


def _ids(sightings: Sequence[Sighting]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for sighting in sightings:
        found.setdefault(sighting.type, set()).add(sighting.id)
    return found


def _is_read(case: Case, entry: Remembered) -> bool:
    """Tell whether a ledger entry is old enough to have been read by everybody."""
    try:
        return epoch_ms(entry.time) <= case.read_until_ms
    except Undecodable:
        return True
