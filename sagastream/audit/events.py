"""Reads the events of some sagas again for a second look. Speaks Redis; judges nothing.

Sagas that seem wrong together mostly lived at the same time, so that span of the streams is read once for all of them;
otherwise a storm that leaves hundreds behind would take hours to examine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sagastream.audit.case import Case, Sighting
from sagastream.audit.findings import Place
from sagastream.audit.scene import Scene
from sagastream.audit.streams import between, horizon, newest
from sagastream.audit.walk import SLACK_MS

MOST_OF_A_STREAM = 50_000  # entries read in one go; beyond that the events stay unknown
AFTER_MS = 60_000  # how long after a saga's last known instant its events are looked for
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
        """Return the events of each saga, also those that came ``late``; None if not all are there."""
        since_ms = await horizon(self._connection, self._streams) + SLACK_MS
        until_ms = await newest(self._connection, self._streams)
        told = {saga_id: _span(case, now_ms, until_ms) for saga_id, case in cases.items()}
        spans = {saga_id: span for saga_id, span in told.items() if span is not None}
        whole = {saga_id: span for saga_id, span in spans.items() if span[0] + SLACK_MS > since_ms}
        found: dict[str, list[Sighting] | None] = dict.fromkeys(cases)
        read = await self._read(whole, late)
        trimmed_ms = await horizon(self._connection, self._streams)  # while reading
        found |= {saga_id: told for saga_id, told in read.items() if whole[saga_id][0] > trimmed_ms}
        return found

    async def standing(self, saga_id: str, seen: Sequence[Sighting]) -> list[Sighting]:
        """Return those of a saga's events that are still in their streams; a server rolled back in time has others."""
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
            if entries is None and len(spans) > 1:  # too many for all sagas, perhaps not for each
                alone = [await self._read({saga_id: span}, late) for saga_id, span in spans.items()]
                return {saga_id: told for each in alone for saga_id, told in each.items()}
            if entries is None:
                return dict.fromkeys(spans)
            for saga_id, sighting in entries:
                found[saga_id][sighting] = None
        return {saga_id: list(sightings) for saga_id, sightings in found.items()}


def late_places(case: Case, seen: Iterable[Sighting]) -> tuple[Place, ...]:
    """Return the places of events that came long after a saga's end; all others are found within its lifetime."""
    last_ms = max(_instants(case), default=0)
    return tuple(dict.fromkeys(met[:2] for met in seen if met.at_ms > last_ms + AFTER_MS))[:MOST_LATE]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the spans of time, with overlapping ones joined."""
    found: list[Span] = []
    for since, until in sorted(spans):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(until, found[-1][1]))
        else:
            found.append((since, until))
    return found


def _span(case: Case, now_ms: int, newest_ms: int) -> Span | None:
    """Return the span in which events of a saga may be in the streams, None if nothing is known about it."""
    known = _instants(case)
    if not known:
        return None
    since_ms = min(known) - SLACK_MS
    if newest_ms > now_ms + SLACK_MS:  # the clock was set back: entries go on at the instant it had reached
        return since_ms, newest_ms
    return since_ms, min(now_ms, max(known) + AFTER_MS) if case.status.is_end else now_ms


def _instants(case: Case) -> list[int]:
    facts = [fact.at_ms for known in case.progress.facts.values() for fact in known.values()]
    return [*facts, *(note.at_ms for note in case.notes)]
