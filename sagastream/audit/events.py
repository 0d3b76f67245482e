"""The events of some sagas, read anew for a second look. Speaks Redis; judges nothing.

Sagas that seem wrong together mostly lived at the same time: what stands in the streams then is read once for all of
them, or a storm that leaves hundreds behind would take hours to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sagastream.audit.case import Case, Sighting
from sagastream.audit.findings import Place
from sagastream.audit.scene import Scene
from sagastream.audit.streams import between, horizon, newest
from sagastream.audit.walk import SLACK_MS

MOST_OF_A_STREAM = 50_000  # entries read in one go; beyond that events cannot be told
AFTER_MS = 60_000  # how long after its last known instant events of a saga are looked for
MOST_LATE = 100  # events of a saga that came later than that
Span = tuple[int, int]


class Events:
    """Reads events by saga."""

    def __init__(self, scene: Scene) -> None:
        self._connection = scene.connection
        self._streams = scene.streams()
        self._pause = scene.pause

    async def of(
        self, cases: Mapping[str, Case], now_ms: int, late: Mapping[str, Sequence[Place]]
    ) -> dict[str, list[Sighting] | None]:
        """Return the events of each saga, also those that came ``late``; None where they are not all there."""
        since_ms = await horizon(self._connection, self._streams) + SLACK_MS
        until_ms = await newest(self._connection, self._streams)
        told = {saga_id: _span(case, now_ms, until_ms) for saga_id, case in cases.items()}
        spans = {saga_id: span for saga_id, span in told.items() if span is not None}
        whole = {saga_id: span for saga_id, span in spans.items() if span[0] + SLACK_MS > since_ms}
        found: dict[str, list[Sighting] | None] = dict.fromkeys(cases)
        read = await self._read(whole, late)
        trimmed_ms = await horizon(self._connection, self._streams)  # while it was read
        found |= {saga_id: told for saga_id, told in read.items() if whole[saga_id][0] > trimmed_ms}
        return found

    async def standing(self, saga_id: str, seen: Sequence[Sighting]) -> list[Sighting]:
        """Return those of its events that still stand in their streams; a server that went back in time has others."""
        found = []
        for met in seen:
            at = (met.at_ms, met.at_ms)
            there = await between(self._connection, met.stream, *at, {saga_id}, MOST_OF_A_STREAM, self._pause)
            if there is None or (saga_id, met) in there:
                found.append(met)
        return found

    async def _read(
        self, spans: Mapping[str, Span], late: Mapping[str, Sequence[Place]]
    ) -> dict[str, list[Sighting] | None]:
        wanted = [(stream, *span) for span in joined(spans.values()) for stream in self._streams]
        wanted += [(stream, at_ms, at_ms) for saga_id in spans for stream, at_ms in late[saga_id]]
        found: dict[str, dict[Sighting, None]] = {saga_id: {} for saga_id in spans}
        for stream, from_ms, to_ms in dict.fromkeys(wanted):
            entries = await between(self._connection, stream, from_ms, to_ms, spans, MOST_OF_A_STREAM, self._pause)
            if entries is None and len(spans) > 1:  # too many for all of them; perhaps not for each
                alone = [await self._read({saga_id: span}, late) for saga_id, span in spans.items()]
                return {saga_id: told for each in alone for saga_id, told in each.items()}
            if entries is None:
                return dict.fromkeys(spans)
            for saga_id, sighting in entries:
                found[saga_id][sighting] = None
        return {saga_id: list(sightings) for saga_id, sightings in found.items()}


def late_places(case: Case, seen: Iterable[Sighting]) -> tuple[Place, ...]:
    """Return where events of a saga stand that came long after its end; the others are found where it lived."""
    last_ms = max(_instants(case), default=0)
    return tuple(dict.fromkeys(met[:2] for met in seen if met.at_ms > last_ms + AFTER_MS))[:MOST_LATE]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return spans of time that overlap as one."""
    found: list[Span] = []
    for since, until in sorted(spans):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(until, found[-1][1]))
        else:
            found.append((since, until))
    return found


def _span(case: Case, now_ms: int, newest_ms: int) -> Span | None:
    """Return from when until when events of a saga can stand in the streams, None if nothing is known of it."""
    known = _instants(case)
    if not known:
        return None
    since_ms = min(known) - SLACK_MS
    if newest_ms > now_ms + SLACK_MS:  # the clock was put back: entries go on at the instant it had reached
        return since_ms, newest_ms
    return since_ms, min(now_ms, max(known) + AFTER_MS) if case.status.is_end else now_ms


def _instants(case: Case) -> list[int]:
    facts = [fact.at_ms for known in case.progress.facts.values() for fact in known.values()]
    return [*facts, *(note.at_ms for note in case.notes)]
