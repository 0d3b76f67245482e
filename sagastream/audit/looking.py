"""Judges sagas, and looks a second time before it reports that something is wrong.

Data read side by side are not of one instant, and streams are trimmed meanwhile; only what is still wrong a moment
later is reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

from sagastream.audit.case import Case, Sighting
from sagastream.audit.cut import GRACE, cut
from sagastream.audit.effects import BY_HAND
from sagastream.audit.events import Events, late_places
from sagastream.audit.findings import Answer, Difference, Findings, Place, Rule, Unknown
from sagastream.audit.reading import Cases, Unreadable
from sagastream.audit.rules import BEGUN, CAUSES, EVENTS, OF_A_SAGA, ONE_END, READABLE, is_sound, judged
from sagastream.audit.scene import Scene
from sagastream.audit.walk import Held
from sagastream.clock import server_ms
from sagastream.coordinator.retention import kept
from sagastream.saga.advance import ENDS
from sagastream.saga.lifecycle import Status

MOST_WITH_EVENTS = 1_000  # sagas whose events are read for a second look; more would take too long
TOGETHER = 50  # sagas of one second look: their events are close together and are read once
NO_TABLE = "no table of its version is known here"


class Looking:
    """Judges the sagas a walk yields, and records the answers in the findings."""

    def __init__(self, scene: Scene, findings: Findings) -> None:
        self._scene = scene
        self._findings = findings
        self._cases = Cases(scene)
        self._events = Events(scene)
        self._kept_ms = min(kept(scene.settings).values()) // timedelta(milliseconds=1)
        self._doubtful: dict[str, list[Sighting]] = {}

    async def judge(self, page: Sequence[Held], read_until_ms: int) -> None:
        """Judge sagas whose events were read up to an instant; keep what seems wrong for a second look."""
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

    async def stray(self, strays: dict[str, list[Sighting]]) -> None:
        """Judge events that were read while their sagas were not held."""
        ids = list(strays)
        for at in range(0, len(ids), self._scene.page):
            part = ids[at : at + self._scene.page]
            now_ms = await server_ms(self._scene.connection)
            found = await self._cases.load(part, now_ms=now_ms, read_until_ms=now_ms)
            for saga_id, case in zip(part, found, strict=True):
                if not isinstance(case, Case) or not self._knows(case, strays[saga_id]):
                    self._doubtful.setdefault(saga_id, []).extend(strays[saga_id])
            await self._scene.pause()

    async def second(self) -> None:
        """Look again, after a moment, at everything that seemed wrong, and report what still is."""
        if self._doubtful and not self._scene.is_at_rest:
            await asyncio.sleep(GRACE.total_seconds())
        doubtful, self._doubtful = self._doubtful, {}
        ids = list(doubtful)
        for at in range(0, len(ids), TOGETHER):
            part = ids[at : at + TOGETHER]
            await self._some({saga_id: doubtful[saga_id] for saga_id in part}, with_events=at < MOST_WITH_EVENTS)
            await self._scene.pause()

    async def again(self, known: Sequence[Difference]) -> None:
        """Read the sagas of known differences and their events again, and report what is wrong with them.

        What can no longer be judged keeps its difference: trimmed events, or a record that cannot be read here, repair
        nothing. But a saga that is listed nowhere was removed when its retention time was over, unless the difference
        was its missing record.
        """
        saga_ids = list(dict.fromkeys(each.saga_id for each in known))
        for at in range(0, len(saga_ids), TOGETHER):
            part = saga_ids[at : at + TOGETHER]
            late = {each.saga_id: each.late for each in known if each.late}
            found = await self._some(dict.fromkeys(part, ()), with_events=True, late=late)
            cases = {case.saga_id: case for case in found}
            for difference in known:
                if difference.saga_id in cases and not _can_tell(cases[difference.saga_id], difference):
                    self._findings.differs(difference)
            await self._scene.pause()

    async def one(self, saga_id: str) -> Status | None:
        """Read one saga and its events by itself, report what is wrong with it, and return its status."""
        (case,) = await self._some({saga_id: ()}, with_events=True)
        if isinstance(case, Case):
            return case.status
        if _is_nowhere(case):
            self._unreadable(case, ())
        return None

    async def _some(
        self,
        strays: Mapping[str, Sequence[Sighting]],
        *,
        with_events: bool,
        late: Mapping[str, tuple[Place, ...]] = MappingProxyType({}),
    ) -> list[Case | Unreadable]:
        """Read some sagas again, together with their events, and report what is wrong with them.

        ``late`` holds the places, known from earlier rounds, of their events that came long after their end.
        """
        now_ms = await server_ms(self._scene.connection)
        read_until_ms = await cut(self._scene, now_ms)
        found = await self._cases.load(list(strays), now_ms=now_ms, read_until_ms=read_until_ms)
        cases = {saga_id: case for saga_id, case in zip(strays, found, strict=True) if isinstance(case, Case)}
        late = {saga_id: late.get(saga_id) or late_places(case, strays[saga_id]) for saga_id, case in cases.items()}
        if with_events:
            for saga_id, sightings in (await self._events.of(cases, now_ms, late)).items():
                cases[saga_id].sightings = sightings
        for saga_id, case in zip(strays, found, strict=True):
            if isinstance(case, Case):
                self._note(saga_id, judged(case), late[saga_id])
            elif not self._is_removed(case, strays[saga_id], now_ms):
                standing = await self._events.standing(saga_id, strays[saga_id])
                if standing or not strays[saga_id] or not _is_nowhere(case):
                    self._unreadable(case, standing)
        return found

    def _is_removed(self, case: Unreadable, strays: Sequence[Sighting], now_ms: int) -> bool:
        """Tell whether a record is rightly missing: its saga ended long ago, though events may still be there."""
        if strays:
            return case.is_absent and max(sighting.at_ms for sighting in strays) < now_ms - self._kept_ms
        return _is_nowhere(case)

    def _note(self, saga_id: str, answers: Sequence[tuple[Rule, Answer]], late: tuple[Place, ...] = ()) -> None:
        self._findings.holds(READABLE.name)
        for rule, answer in answers:
            self._findings.answer(rule.name, saga_id, answer, late)

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
            why = "is listed" if case.is_listed else "was asked about by this id"
            self._findings.differs(Difference(BEGUN.name, about, f"a record, for it {why}", "none", case.saga_id))
        else:
            self._findings.differs(Difference(READABLE.name, about, "a record", case.why, case.saga_id))

    def _knows(self, case: Case, strays: Sequence[Sighting]) -> bool:
        """Tell whether every stray is a repeated event, or belongs to a saga that is still under way."""
        if not case.status.is_end:
            return True
        case.sightings = strays
        rule = next(judge for rule, judge in OF_A_SAGA if rule is EVENTS)
        answer = rule(case)
        is_sound = isinstance(answer, Unknown) or not answer
        return is_sound and not any(sighting.type in ENDS for sighting in strays)


def _is_nowhere(case: Unreadable) -> bool:
    return case.is_absent and not case.is_listed


def _can_tell(case: Case | Unreadable, difference: Difference) -> bool:
    """Tell whether a known difference that was not found again can be known to be gone."""
    if _misses_record(difference):
        return isinstance(case, Case)
    if isinstance(case, Unreadable):
        return _is_nowhere(case)
    if case.sightings is None and difference.rule in (ONE_END.name, CAUSES.name):
        return False  # these rules give an answer even on half of what they examine
    unknown = {rule.name for rule, answer in judged(case) if isinstance(answer, Unknown) and answer is not BY_HAND}
    return difference.rule not in unknown


def _misses_record(difference: Difference) -> bool:
    return difference.rule in (BEGUN.name, EVENTS.name) and difference.expected.startswith("a record")
