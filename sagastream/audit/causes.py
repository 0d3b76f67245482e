"""The rule about causes: every event of a saga has a cause, and all lead back to the beginning. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sagastream.audit.case import Case
from sagastream.audit.findings import Answer, Unknown, Wrong
from sagastream.coordinator.records import OPERATOR, Note
from sagastream.saga.definition import BEGINNING
from sagastream.saga.progress import Kind


def causes_are_a_tree(case: Case) -> Answer:
    """Judge whether the causes of events, requests and announcements form a tree rooted in the beginning."""
    began = case.progress.fact(BEGINNING, Kind.DONE)
    if began is None:
        return Unknown("the beginning was never seen")
    causes: dict[str, str] = {}
    wrong = []
    for id_, cause, what in _told(case):
        if causes.setdefault(id_, cause) != cause:
            wrong.append(Wrong(f"one cause of {what} {id_}", f"{causes[id_]} and {cause}"))
    rooted = {began.event_id, *(note.id for note in case.notes if _is_from_outside(note))}
    problems = dict.fromkeys(problem for id_ in causes if (problem := _climb(id_, causes, rooted)) is not None)
    return [*wrong, *(Wrong("every cause to lead to the beginning", problem) for problem in problems)]


def _climb(id_: str, causes: dict[str, str], rooted: set[str]) -> str | None:
    """Return why an event does not lead to the beginning, None if it does; add to ``rooted`` what does."""
    path: dict[str, None] = {}
    at = id_
    while at not in rooted:
        if at in path:
            return f"a circle of {', '.join(sorted(path))}"
        if at not in causes:
            return f"that of {list(path)[-1]} is {at or 'missing'}, no event of this saga"
        path[at] = None
        at = causes[at]
    rooted.update(path)
    return None


def _is_from_outside(note: Note) -> bool:
    """Tell whether a note has no cause within the saga: an event that could not be understood, or a person's action."""
    return note.kind == Kind.POISONED or note.source == OPERATOR


def _told(case: Case) -> Iterator[tuple[str, str, str]]:
    """Yield id, cause and type of everything that has a cause within the saga."""
    for note in case.notes:
        if not _is_from_outside(note):
            yield note.id, note.cause, note.type
    for sighting in case.sightings or ():
        yield sighting.id, sighting.cause, sighting.type
    for _, _, entry in case.entries():
        if entry.state.is_outcome and entry.has_event:
            yield entry.id, entry.cause, entry.type
