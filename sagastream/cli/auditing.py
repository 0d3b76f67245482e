"""The command `audit`: whether everything that is written down about sagas agrees. Prints; changes nothing."""

from __future__ import annotations

import asyncio
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from sagastream.audit import Audit, Audited, Scene, audit, audit_one
from sagastream.audit.report import report, written
from sagastream.bus import Bus
from sagastream.cli.exits import DIFFERENT, DONE
from sagastream.cli.screen import Screen
from sagastream.coordinator.fleet import read_fleet
from sagastream.errors import SagastreamError
from sagastream.keys import COORDINATOR, Keys
from sagastream.participant import Participant
from sagastream.project import Project, ProjectError, load
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings


class CannotRead(SagastreamError):
    """What was said to be acknowledged cannot be read; the message names the file."""


def audits(project: Project) -> list[Audit]:
    """Return the rules the project adds.

    Raises: ``ProjectError`` for something that is none.
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
    """Audit one saga or all of them, and print what was found."""
    scene = Scene(bus.query, settings, sagas, participants, is_at_rest=words.at_rest)
    if words.at_rest:
        await _ended(bus, settings, sagas, words.wait)
    if words.saga_id is not None:
        told = await audit_one(scene, words.saga_id)
    else:
        with Screen(sys.stderr).progress("comparing", None):
            told = await audit(scene, projects, acknowledged=_acknowledged(words.acknowledged))
    return _say(told, as_json=words.json)


async def _ended(bus: Bus, settings: Settings, sagas: Sequence[Saga], wait_s: float) -> None:
    """Wait until no saga is under way, but not longer than asked."""
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


def _acknowledged(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        return [line.strip() for line in file.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise CannotRead(f"{file}: {error}") from error
