"""The command `audit`: whether all stored data about sagas agree, and what coordinators have found so far."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from sagastream.audit import Audit, Audited, Scene, audit, audit_one, results
from sagastream.audit.findings import Difference
from sagastream.audit.report import kept_lines, report, written
from sagastream.bus import Bus
from sagastream.cli.exits import DIFFERENT, DONE
from sagastream.cli.screen import Screen
from sagastream.coordinator.fleet import read_fleet
from sagastream.errors import SagastreamError
from sagastream.keys import COORDINATOR, Keys
from sagastream.participant import Participant
from sagastream.project import Project, ProjectError, load
from sagastream.reader import Reader
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings
from sagastream.transaction import Transaction, Transactor


class CannotRead(SagastreamError):
    """The file of acknowledged sagas cannot be read; the message names it."""


class NotKept(SagastreamError):
    """The difference to take back is not among those that the coordinators keep."""


def audits(project: Project) -> list[Audit]:
    """Return the audit rules that the project adds.

    Raises: ``ProjectError`` for a target that is no ``Audit``.
    """
    found = []
    for target in project.audits:
        loaded = load(target, project.root)
        if not isinstance(loaded, Audit):
            raise ProjectError(f"{target!r} is not an Audit")
        found.append(loaded)
    return found


async def audit_sagas(
    words: Namespace,
    bus: Bus,
    settings: Settings,
    sagas: Sequence[Saga],
    participants: Sequence[Participant],
    projects: Sequence[Audit],
) -> int:
    """Audit one saga or all of them, and print the differences."""
    if words.take_back:
        return await _take_back(bus, settings, *words.take_back)
    if words.kept:
        return _say_kept(await results.read_found(bus.query, Keys(settings.key_prefix, COORDINATOR)), words.json)
    scene = Scene(bus.query, settings, sagas, participants, is_at_rest=words.at_rest)
    if words.at_rest:
        await _ended(bus, settings, sagas, words.wait)
    if words.saga_id is not None:
        told = await audit_one(scene, words.saga_id)
    else:
        with Screen(sys.stderr).progress("comparing", None):
            told = await audit(scene, projects, acknowledged=_acknowledged(words.acknowledged))
    code = _say(told, as_json=words.json)
    kept = set(await results.read_found(bus.query, scene.keys)) - set(told.findings.differences)
    if kept and words.saga_id is None:
        Screen(sys.stderr).say(f"the coordinators keep what they found before, in {len(kept)} places: audit --kept")
    return code


async def _take_back(bus: Bus, settings: Settings, rule: str, about: str) -> int:
    """Drop one difference that the coordinators keep.

    Raises: ``NotKept``.
    """
    keys = Keys(settings.key_prefix, COORDINATOR)
    known = await results.read_found(bus.query, keys)
    difference = next((each for each in known if (each.rule, each.about) == (rule, about)), None)
    if difference is None:
        raise NotKept(f"the coordinators keep no difference {rule!r} about {about!r}; audit --kept lists them")
    tx = Transaction(Reader(bus.query, keys), saga_id=difference.saga_id, key="", now_ms=0)
    results.take_back(tx, difference)
    (outcome,) = (await Transactor(bus.writer, keys, retention=settings.ledger_retention).commit([tx])).outcomes
    if not outcome.is_ok:
        raise NotKept(f"it cannot be dropped: {outcome.detail}")
    Screen().say(f"taken back: {rule}, {about}; if it is met again it is a difference again")
    return DONE


async def _ended(bus: Bus, settings: Settings, sagas: Sequence[Saga], wait_s: float) -> None:
    """Wait until no saga is unfinished, at most ``wait_s``."""
    until = time.monotonic() + wait_s
    keys = Keys(settings.key_prefix, COORDINATOR)
    while time.monotonic() < until:
        fleet = await read_fleet(bus.query, keys, [saga.name for saga in sagas])
        if not sum(count for (_, status), count in fleet.active.items() if status is not Status.NEEDS_ATTENTION):
            return
        await asyncio.sleep(0.2)


def _say(told: Audited, *, as_json: bool) -> int:
    if as_json:
        print(written(told))
    else:
        Screen().say(*report(told))
    return DONE if told.is_clean else DIFFERENT


def _say_kept(kept: Sequence[Difference], as_json: bool) -> int:
    if as_json:
        print(json.dumps([each.told() for each in kept]))
    else:
        Screen().say(*kept_lines(kept))
    return DIFFERENT if kept else DONE


def _acknowledged(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        return [line.strip() for line in file.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise CannotRead(f"{file}: {error}") from error
