"""Judges sagas, and looks a second time before it says that something is wrong.

What is read side by side is not read at one instant, and streams are trimmed meanwhile; only what is still so a
moment later is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from sagastream.audit.case import ENDS, Case, Sighting
from sagastream.audit.findings import Answer, Difference, Findings, Rule, Unknown
from sagastream.audit.reading import Cases, Unreadable
from sagastream.audit.rest import GRACE, cut
from sagastream.audit.rules import BEGUN, EVENTS, OF_A_SAGA, READABLE, is_sound, judged
from sagastream.audit.scene import Scene
from sagastream.audit.streams import between, horizon
from sagastream.audit.walk import SLACK_MS, Held
from sagastream.clock import server_ms
from sagastream.coordinator.retention import kept
from sagastream.saga.lifecycle import Status

MOST_OF_A_STREAM = 50_000  # entries read for one saga; beyond that its events cannot be told
AFTER_MS = 60_000  # how long after its last known instant events of one saga are looked for
NO_TABLE = "no table of its version is known here"


class Looking:
    """Judges what a walk hands over, and notes it in the findings."""

    def __init__(self, scene: Scene, findings: Findings) -> None:
        self._scene = scene
        self._findings = findings
        self._cases = Cases(scene)
        self._streams = scene.streams()
        self._kept_ms = min(kept(scene.settings).values()) // timedelta(milliseconds=1)
        self._doubtful: dict[str, list[Sighting]] = {}

    async def judge(self, page: Sequence[Held], read_until_ms: int) -> None:
        """Judge sagas whose events were met up to an instant; what seems wrong is kept for a second look."""
        now_ms = await server_ms(self._scene.connection)
        found = await self._cases.load([held.saga_id for held in page], now_ms=now_ms, read_until_ms=read_until_ms)
        for held, case in zip(page, found, strict=True):
            if isinstance(case, Unreadable):
                if case.is_foreign:
                    self._unreadable(case, ())
                else:
                    self._doubtful.setdefault(held.saga_id, [])
                continue
            case.sightings = held.sightings
            is_too_early = case.status.is_end and held.sightings is not None and held.ends_ms is None
            answers = judged(case)
            if is_too_early or not is_sound(answers):
                self._doubtful.setdefault(held.saga_id, []).extend(held.sightings or ())
            else:
                self._note(case.saga_id, answers)

    async def stray(self, strays: dict[str, list[Sighting]], from_ms: int) -> None:
        """Judge events of sagas that were not held when they were met."""
        ids = list(strays)
        for at in range(0, len(ids), self._scene.page):
            part = ids[at : at + self._scene.page]
            now_ms = await server_ms(self._scene.connection)
            found = await self._cases.load(part, now_ms=now_ms, read_until_ms=now_ms)
            for saga_id, case in zip(part, found, strict=True):
                if isinstance(case, Case) and (self._is_older(case, from_ms) or self._knows(case, strays[saga_id])):
                    continue
                self._doubtful.setdefault(saga_id, []).extend(strays[saga_id])
            await self._scene.pause()

    async def second(self, *, most: int = 1_000) -> None:
        """Look again at everything that seemed wrong, after a moment, and say what still does."""
        if self._doubtful and not self._scene.is_at_rest:
            await asyncio.sleep(GRACE.total_seconds())
        doubtful, self._doubtful = self._doubtful, {}
        for at, (saga_id, strays) in enumerate(doubtful.items()):
            await self.one(saga_id, strays, with_events=at < most)
            await self._scene.pause()

    async def one(self, saga_id: str, strays: Sequence[Sighting] = (), *, with_events: bool = True) -> Status | None:
        """Read one saga and its events by itself, say what is wrong with it, and return its status."""
        now_ms = await server_ms(self._scene.connection)
        read_until_ms = await cut(self._scene, now_ms)
        (case,) = await self._cases.load([saga_id], now_ms=now_ms, read_until_ms=read_until_ms)
        if isinstance(case, Unreadable):
            # Records of sagas that ended long ago are removed; their events may still be there.
            if not (case.is_absent and strays and max(s.at_ms for s in strays) < now_ms - self._kept_ms):
                self._unreadable(case, strays)
            return None
        if with_events:
            case.sightings = await self._sightings(case, now_ms, strays)
        self._note(saga_id, judged(case))
        return case.status

    def _note(self, saga_id: str, answers: Sequence[tuple[Rule, Answer]]) -> None:
        self._findings.holds(READABLE.name)
        for rule, answer in answers:
            self._findings.answer(rule.name, saga_id, answer)

    def _unreadable(self, case: Unreadable, strays: Sequence[Sighting]) -> None:
        about = f"saga {case.saga_id}"
        if case.is_foreign:
            self._findings.unknown(READABLE.name, NO_TABLE)
            for rule, _ in OF_A_SAGA:
                self._findings.unknown(rule.name, NO_TABLE)
        elif case.is_absent and strays:
            found = f"{strays[0].type} {strays[0].id}, but no record"
            self._findings.differs(Difference(EVENTS.name, about, "a record for its events", found, case.saga_id))
        elif case.is_absent:
            self._findings.differs(Difference(BEGUN.name, about, "a record, for it is listed", "none", case.saga_id))
        else:
            self._findings.differs(Difference(READABLE.name, about, "a record", case.why, case.saga_id))

    async def _sightings(self, case: Case, now_ms: int, seen: Sequence[Sighting]) -> list[Sighting] | None:
        """Read a saga's events anew, also those ``seen`` long after its end; None if they are not all there."""
        known = [fact.at_ms for facts in case.progress.facts.values() for fact in facts.values()]
        known += [note.at_ms for note in case.notes]
        if not known or min(known) <= await horizon(self._scene.connection, self._streams) + SLACK_MS:
            return None
        until_ms = min(now_ms, max(known) + AFTER_MS) if case.status.is_end else now_ms
        spans = [(stream, min(known) - SLACK_MS, until_ms) for stream in self._streams]
        spans += [(met.stream, met.at_ms, met.at_ms) for met in seen if met.at_ms > until_ms]
        found: dict[tuple[str, Sighting], None] = {}
        for stream, from_ms, to_ms in spans:
            entries = await between(self._scene.connection, stream, from_ms, to_ms, MOST_OF_A_STREAM)
            if entries is None:
                return None
            found |= dict.fromkeys(entry for entry in entries if entry[0] == case.saga_id)
        return [sighting for _, sighting in found]

    def _is_older(self, case: Case, from_ms: int) -> bool:
        return case.progress.first_ms < from_ms

    def _knows(self, case: Case, strays: Sequence[Sighting]) -> bool:
        """Tell whether every stray is an event told again, or one of a saga that is still under way."""
        if not case.status.is_end:
            return True
        case.sightings = strays
        rule = next(judge for rule, judge in OF_A_SAGA if rule is EVENTS)
        answer = rule(case)
        is_sound = isinstance(answer, Unknown) or not answer
        return is_sound and not any(sighting.type in ENDS for sighting in strays)
