"""Checks that the counters of all sagas equal what their records add up to. Speaks Redis; changes nothing.

Counters only grow, and so does each saga's share in them; so while sagas go on, the records read in between must add up
to something between the counters before and after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from sagastream import keys as names
from sagastream.audit.findings import Difference, Findings
from sagastream.audit.rules import COUNTS, INDEXED, TIMER
from sagastream.audit.scene import Scene
from sagastream.audit.statuses import status_indexes
from sagastream.bus import Reply
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import FIELDS, Record, read_record
from sagastream.errors import ReplyError, Undecodable
from sagastream.keys import COUNTS as COUNTERS
from sagastream.keys import TIMERS
from sagastream.replies import named, sound, texts, values
from sagastream.saga.advance import Advance
from sagastream.saga.counting import counted, name
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Happening, Progress

# A record shows only that a duration was observed, not which: facts may have come in any order.
_KINDS = frozenset({"started", "turned_back", "ended", "steps", "timeouts", "undo_failed", "duration"})
_KNOWN_WHEN_REMOVED = frozenset({"started", "ended", "duration"})
_OF_A_BEGINNING = frozenset({"started", "duration"})
TIMES = 3


async def counters_equal_records(scene: Scene, findings: Findings) -> None:
    """Add up all records and compare with the counters; repeat while sagas go on, for a single pass may miss one."""
    sums = await _added_up(scene)
    for _ in range(TIMES - 1):
        if scene.is_at_rest or not sums.wrong():
            break
        sums = await _added_up(scene)
    if sums.unknown:
        findings.unknown(COUNTS.name, "records of unknown tables", sums.unknown)
        return
    wrong = sums.wrong()
    findings.holds(COUNTS.name, len(sums.after) - len(wrong))
    for counter in wrong:
        low, high = sums.before[counter], sums.after[counter]
        found = str(high) if low == high else f"{low} to {high}"
        expected = f"{sums.records[counter]}, from the records"
        findings.differs(Difference(COUNTS.name, f"counter {counter}", expected, found))


@dataclass(frozen=True)
class _Sums:
    """Counters before and after, what the records in between add up to, and how many could not be added."""

    before: Counter[str]
    records: Counter[str]
    after: Counter[str]
    removed_before: Counter[str]
    removed_after: Counter[str]
    unknown: int

    def wrong(self) -> list[str]:
        every = self.before.keys() | self.records.keys() | self.after.keys()
        return sorted(counter for counter in every if not self._agrees(counter))

    def _agrees(self, counter: str) -> bool:
        """Tell whether a counter equals records plus removed records, as far as that can be known."""
        kind, process, *rest = counter.split("|")
        ends = rest if kind == "ended" else [str(status) for status in Status]
        low, high = (_removed(kind, counters, process, ends) for counters in (self.removed_before, self.removed_after))
        if kind not in _KNOWN_WHEN_REMOVED:
            low = 0  # how much of this a removed record had is not known
        return (
            self.before[counter] <= self.records[counter] + high and self.records[counter] + low <= self.after[counter]
        )


async def _added_up(scene: Scene) -> _Sums:
    before = await _counters(scene)
    records, unknown = await _total(scene)
    after = await _counters(scene)
    return _Sums(_comparable(before), records, _comparable(after), before, after, unknown)


async def sizes_agree(scene: Scene, findings: Findings) -> None:
    """Compare the number of sagas by status, by timer and by counter; report only what differs three times."""
    differences = await _sizes(scene)
    for _ in range(TIMES - 1):
        if not differences or scene.is_at_rest:
            break
        await scene.pause()
        again = await _sizes(scene)
        differences = [difference for difference in differences if difference in again]
    for rule in (COUNTS, INDEXED, TIMER):
        mine = [difference for difference in differences if difference.rule == rule.name]
        for difference in mine:
            findings.differs(difference)
        if not mine:
            findings.holds(rule.name)


async def _sizes(scene: Scene) -> list[Difference]:
    key = scene.keys.key
    by_status = await status_indexes(scene)
    replies = await scene.connection.pipeline(
        [
            ("HGETALL", key(COUNTERS)),
            ("ZCARD", key(TIMERS)),
            ("ZCARD", key(names.index("all"))),
            *(("ZCARD", index) for index in by_status.values()),
        ]
    )
    counters = Counter(_numbers(replies[0]))
    timers, every, *sizes = (int(str(sound(reply))) for reply in replies[1:])
    of = dict(zip(by_status, sizes, strict=True))
    running = sum(size for (status, _), size in of.items() if not status.is_end)
    found = [
        Difference(COUNTS.name, f"counter {counter}", "at least 0", str(value))
        for counter, value in sorted(counters.items())
        if value < 0
    ]
    for (status, process), size in of.items():
        ended = counters[name("ended", process, status)] - counters[name("removed", process, status)]
        if status.is_end and ended != size:
            what = f"sagas {process} {status}"
            found.append(Difference(COUNTS.name, what, f"{size}, as listed", f"{ended} counted"))
    if every != sum(sizes):
        found.append(Difference(INDEXED.name, "all sagas", f"{sum(sizes)} by status", f"{every} listed"))
    if timers != running:
        found.append(Difference(TIMER.name, "all sagas", f"{running} timers, one for each running", str(timers)))
    return found


async def _counters(scene: Scene) -> Counter[str]:
    return Counter(_numbers(await scene.connection.execute("HGETALL", scene.keys.key(COUNTERS))))


def _removed(kind: str, counters: Counter[str], process: str, statuses: Sequence[str]) -> int:
    """Return how many removed records may have counted here: those of a process that ended in one of these statuses."""
    removed = sum(counters[name("removed", process, status)] for status in statuses)
    return removed - counters[name("unbegun", process)] if kind in _OF_A_BEGINNING else removed


def _comparable(counters: Mapping[str, int]) -> Counter[str]:
    """Return the counters that follow from records; durations are reduced to their number of observations."""
    found: Counter[str] = Counter()
    for counter, value in counters.items():
        kind, *of = counter.split("|")
        if kind in _KINDS:
            found[name(kind, *(of[:1] if kind == "duration" else of))] += value
    return found


async def _total(scene: Scene) -> tuple[Counter[str], int]:
    """Return the sum of all records, and how many could not be added."""
    meanings = Meanings(scene.sagas)
    total: Counter[str] = Counter()
    unknown = 0
    async for saga_ids in pages(scene):
        commands = [("HMGET", scene.keys.key(names.record(saga_id)), *FIELDS) for saga_id in saga_ids]
        for saga_id, reply in zip(saga_ids, await scene.connection.pipeline(commands), strict=True):
            record = read_record(saga_id, reply if isinstance(reply, ReplyError) else values(reply))
            if record is None:
                continue
            try:
                if isinstance(record, Undecodable):
                    raise record
                saga = meanings.of(record.progress.definition, str(record.progress.version)).saga
                total.update(_share(saga, record))
            except (Undecodable, ValueError):
                unknown += 1
    return _comparable(total), unknown


def _share(saga: Saga, record: Record) -> Mapping[str, int]:
    progress = record.progress
    news = tuple(Happening(step, kind, fact) for step, known in progress.facts.items() for kind, fact in known.items())
    nothing = Progress(progress.saga_id, progress.definition, progress.version)
    return counted(saga, nothing, Advance(progress, Status(record.status), news, (), (), None, 0))


async def pages(scene: Scene) -> AsyncIterator[list[str]]:
    """Yield all sagas, a page at a time; one that is added or moved meanwhile may be missing or come twice."""
    index = scene.keys.key(names.index("all"))
    start = 0
    while True:
        reply = await scene.connection.execute("ZRANGE", index, start, start + scene.page - 1)
        page = texts(reply)
        if not page:
            return
        yield page
        start += len(page)
        await scene.pause()


def _numbers(reply: Reply | ReplyError) -> dict[str, int]:
    return {counter: int(value) for counter, value in named(sound(reply)).items()}
