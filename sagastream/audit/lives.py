"""Rules about what the coordinator wrote: status, history, end, timer, indexes. Pure: a case in, an answer out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sagastream.audit.case import Case, facts_of
from sagastream.audit.findings import Answer, Wrong
from sagastream.event import BarRequested, RetryRequested, UndoRequested
from sagastream.keys import COORDINATOR
from sagastream.saga import lifecycle
from sagastream.saga.advance import ENDS
from sagastream.saga.progress import Fact, Kind, Progress, Request

ASKED = {
    Request.UNDO: UndoRequested.type_name(),
    Request.BAR: BarRequested.type_name(),
    Request.RETRY: RetryRequested.type_name(),
}


def status_follows(case: Case) -> Answer:
    """Judge whether the status follows from the facts, and whether an ended saga says when it ended."""
    follows = lifecycle.status(case.saga, case.progress)
    wrong = [] if follows is case.status else [Wrong(f"{follows}, from its facts", str(case.status))]
    if case.status.is_end and case.ended_ms is None:
        wrong.append(Wrong("an instant at which it ended", "none"))
    return wrong


def history_tells(case: Case) -> Answer:
    """Judge whether facts, requests and announcements can be rebuilt from the history."""
    told, known = facts_of(case.notes), case.progress.facts
    wrong = []
    for step in dict.fromkeys((*known, *told)):
        for kind in dict.fromkeys((*known.get(step, {}), *told.get(step, {}))):
            mine, history = known.get(step, {}).get(kind), told.get(step, {}).get(kind)
            if not _is_same(mine, history):
                wrong.append(Wrong(f"{step!r} {kind} as in its history: {history}", str(mine)))
    for step, ask in case.progress.asks.items():
        times = sum(note.step == step and note.type == ASKED[ask.request] for note in case.notes)
        if times < ask.times:
            wrong.append(Wrong(f"{ask.times} notes of {ask.request} asked about {step!r}", str(times)))
    announced = sum(note.source == COORDINATOR and note.type.startswith("Saga") for note in case.notes)
    if announced != len(case.progress.announced):
        wrong.append(Wrong(f"{len(case.progress.announced)} announcements in its history", str(announced)))
    return wrong


def _is_same(mine: Fact | None, history: Fact | None) -> bool:
    """Tell whether two facts agree; for a person's action the history holds more than the reason."""
    if mine is None or history is None or not mine.actor:
        return mine == history
    return (mine.at_ms, mine.event_id, mine.actor) == (history.at_ms, history.event_id, history.actor)


def ends_once(case: Case) -> Answer:
    """Judge whether an ended saga has exactly one terminal event, equal to its record, and any other saga none."""
    wrong = list(_ends("history", case, [note.type for note in case.notes if note.type in ENDS]))
    if case.sightings is not None:
        seen = [sighting.type for sighting in case.sightings if sighting.type in ENDS]
        wrong += _ends("streams", case, seen)
    return wrong


def _ends(where: str, case: Case, told: list[str]) -> Iterator[Wrong]:
    expected = [kind for kind, status in ENDS.items() if status is case.status]
    if told != expected:
        yield Wrong(f"{' '.join(expected) or 'no end'} in its {where}", ", ".join(told) or "no end")


def timed_while_running(case: Case) -> Answer:
    """Judge whether a saga has a timer exactly until it has ended."""
    if case.status.is_end and case.timer_ms is not None:
        return [Wrong(f"no timer, for it is {case.status}", f"one at {case.timer_ms}")]
    if not case.status.is_end and case.timer_ms is None:
        return [Wrong(f"a timer, for it is {case.status}", "none: nothing will ever look at it again")]
    return []


def indexed(case: Case) -> Answer:
    """Judge whether a saga is in exactly the indexes its record implies."""
    expected = case.expected_indexes()
    return [
        *(Wrong(f"to stand in {name}", "it does not") for name in sorted(expected - case.indexes)),
        *(Wrong(f"not to stand in {name}", "it does") for name in sorted(case.indexes - expected)),
    ]


def undone_newest_first(case: Case) -> Answer:
    """Judge whether an undo is requested only once every newer step is settled, or its undo gave up."""
    if not any(note.type == ASKED[Request.UNDO] for note in case.notes):
        return None
    wrong = []
    saga, progress = case.saga, Progress(case.saga_id, case.progress.definition, case.progress.version)
    for at, note in enumerate(case.notes):
        if note.type != ASKED[Request.UNDO]:
            continue
        progress = replace(progress, facts=facts_of(case.notes[:at]))
        newer = lifecycle.to_undo(saga, progress)
        if note.step not in newer:
            wrong.append(Wrong("no request to undo a step that need not be undone", f"{note.step!r} was asked"))
            continue
        for step in newer[: newer.index(note.step)]:
            if not lifecycle.is_settled(progress, step) and not progress.has(step, Kind.UNDO_GAVE_UP, Kind.LOST):
                wrong.append(Wrong(f"{step!r} settled before {note.step!r} is asked", f"{step!r} was still open"))
    return wrong
