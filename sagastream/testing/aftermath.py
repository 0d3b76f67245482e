"""Checks at the end of a run: no work is left over, and events and effects agree.

Reads only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sagastream import keys as names
from sagastream.event import (
    SagaAborted,
    SagaCompensationCompleted,
    SagaCompleted,
    SagaFailed,
    SagaStarted,
    StepBarred,
)
from sagastream.keys import ATTEMPTS, COORDINATOR, COUNTS, RETRIES, TIMERS, Keys
from sagastream.ledger import State
from sagastream.saga.definition import BEGINNING, Saga, Step
from sagastream.saga.lifecycle import Status
from sagastream.testing.auditor import audited
from sagastream.testing.memory_keyspace import Hash, List, SortedSet
from sagastream.testing.memory_stream_log import Stream

if TYPE_CHECKING:
    from sagastream.testing.stage import Stage

_ENDINGS = {
    Status.COMPLETED: SagaCompleted.type_name(),
    Status.COMPENSATED: SagaCompensationCompleted.type_name(),
    Status.FAILED: SagaFailed.type_name(),
    Status.ABORTED: SagaAborted.type_name(),
}


def left_over(stage: Stage) -> Iterator[str]:
    """Yield work left over: unread or pending entries, and retries and attempts that nobody has made."""
    for key, value in stage.server.space.values.items():
        name = key.decode()
        if isinstance(value, Stream):
            for group, reading in value.groups.items():
                if reading.pending or reading.last_id < value.last_id:
                    waiting = len(reading.pending) or "unread"
                    yield f"{name}: {waiting} entries for {group.decode()}"
        elif name.endswith((f":{RETRIES}", f":{ATTEMPTS}")):
            yield f"{name} is not empty"


def lies(stage: Stage) -> Iterator[str]:
    """Yield contradictions between records, ledgers, events and timers."""
    told = _told(stage)
    statuses = stage.truth.statuses()
    for number, saga_id in stage.begun.items():
        if saga_id not in statuses:
            yield f"saga {number} was begun and acknowledged, but {saga_id} is unknown"
    for saga_id, status in statuses.items():
        for lie in _of_saga(stage, saga_id, Status(status), told.get(saga_id, Counter())):
            yield f"{saga_id} ended {status}, but {lie}"
    yield from _counts(stage, statuses)
    timers = stage.server.space.values.get(_key(stage, TIMERS))
    for timed in timers.scores if isinstance(timers, SortedSet) else ():
        if timed.decode() not in statuses:
            yield f"a timer is set for {timed.decode()}, of which there is no record"


def differences(stage: Stage) -> Iterator[str]:
    """Yield the auditor's differences, except if the seed damaged the data it reads or dated them in the future."""
    if stage.truth.harmed or stage.truth.poisoned or stage.has_gone_back:
        return
    found = audited(stage.server, stage.settings, stage.scenario.sagas, stage.scenario.cast)
    for tried in found.findings.tried.values():
        for one in tried.differences:
            yield f"the auditor finds against {one.rule}: {one.about}: expected {one.expected}, found {one.found}"


def _of_saga(stage: Stage, saga_id: str, status: Status, told: Counter[tuple[str, str]]) -> Iterator[str]:
    saga, steps = stage.truth.ledgers(saga_id)
    if saga is None:
        return
    endings = {kind: times for (kind, _), times in told.items() if kind in _ENDINGS.values()}
    if status.is_end and endings != {_ENDINGS[status]: 1}:
        yield f"the ends that were announced are {endings}"
    if told[SagaStarted.type_name(), ""] != 1:
        yield f"its start was announced {told[SagaStarted.type_name(), '']} times"
    if saga_id not in stage.truth.harmed:
        yield from _effects(saga, steps, told)
    yield from _history(stage, saga_id, status)


def _effects(saga: Saga, steps: dict[str, State], told: Counter[tuple[str, str]]) -> Iterator[str]:
    """Yield effects without an event, and events without an effect."""
    beginning = Step(BEGINNING, by=saga.begun_by, done=saga.begins_with, undone=saga.cancelled_by, within=saga.patience)
    for step in (beginning, *saga.steps):
        name, done, refused, undone = step.name, step.done, step.refused, step.undone
        state = steps.get(name)
        if state is None:
            continue
        expected = {
            done.type_name(): state in (State.DONE, State.UNDONE),
            **({refused.type_name(): state is State.REFUSED} if refused else {}),
            **({undone.type_name(): state is State.UNDONE} if undone else {}),
        }
        for kind, is_expected in expected.items():
            if told[kind, ""] != is_expected:
                yield f"{name!r} is {state or 'unknown'} and {kind} was published under {told[kind, '']} ids"
        barred = told[StepBarred.type_name(), done.type_name()]
        if barred > 1 or (state is State.BARRED and not barred) or (barred and state in (State.DONE, State.UNDONE)):
            yield f"{name!r} is {state or 'unknown'} and was told to be barred under {barred} ids"


def _history(stage: Stage, saga_id: str, status: Status) -> Iterator[str]:
    """Yield contradictions between a saga's history and its record."""
    kept = stage.server.space.values.get(_key(stage, names.history(saga_id)))
    notes = [json.loads(note) for note in kept] if isinstance(kept, List) else []
    ends = [note["type"] for note in notes if note["type"] in _ENDINGS.values()]
    if ends != ([_ENDINGS[status]] if status.is_end else []):
        yield f"its history tells of {ends}"


def _counts(stage: Stage, statuses: dict[str, str]) -> Iterator[str]:
    """Yield counters that differ from the records they count."""
    kept = stage.server.space.values.get(_key(stage, COUNTS))
    counts = {name.decode(): int(value) for name, value in kept.items()} if isinstance(kept, Hash) else {}
    ended = Counter(status for status in statuses.values() if Status(status).is_end)
    counted = Counter[str]()
    for name, value in counts.items():
        what, *of = name.split("|")
        if what == "ended":
            counted[of[-1]] += value
    if counted != ended:
        yield f"counted as ended are {dict(counted)}, by their records {dict(ended)}"
    started = sum(value for name, value in counts.items() if name.startswith("started|"))
    if started != len(stage.begun):
        yield f"counted as started are {started} of {len(stage.begun)}"


def _told(stage: Stage) -> dict[str, Counter[tuple[str, str]]]:
    """Return, per saga, under how many ids each type of event was published; for bars, per step."""
    told = stage.truth.told.items()
    return {saga_id: Counter((kind, about) for kind, about, _ in ids) for saga_id, ids in told}


def _key(stage: Stage, name: str) -> bytes:
    return Keys(stage.settings.key_prefix, COORDINATOR).key(name).encode()
