"""The command `doctor`: reports problems, and the commands that help. Prints; changes nothing."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, replace

from sagastream.bus import Bus
from sagastream.cli.exits import DONE, UNWELL
from sagastream.cli.screen import Screen
from sagastream.doctor import Finding, Patient, Verdict, examine, worst
from sagastream.drawing import Line, Part, Tone
from sagastream.participant import Participant
from sagastream.saga.definition import Saga
from sagastream.settings import Settings

_TONES = {Verdict.OK: Tone.FORWARD, Verdict.WARNING: Tone.WAITING, Verdict.PROBLEM: Tone.STOPPED}


async def doctor(
    words: Namespace,
    bus: Bus,
    settings: Settings,
    sagas: Sequence[Saga],
    participants: Sequence[Participant],
    services: Collection[str] = (),
) -> int:
    """Print all findings and return the exit code; ``services`` are the project's services, if it names any."""
    examined = await examine(Patient(bus, settings, sagas, participants))
    found = [_here(_startable(one, services), settings) for one in examined]
    verdict = worst(found)
    if words.json:
        print(json.dumps({"verdict": verdict, "findings": [asdict(finding) for finding in found]}))
    else:
        Screen().say(*_told(found))
    return UNWELL if verdict is Verdict.PROBLEM else DONE


def _startable(finding: Finding, services: Collection[str]) -> Finding:
    """Replace a command that would start a service unknown to this project: another project runs the participant."""
    command, _, name = finding.help.rpartition(" ")
    if command != "sagastream participant" or not services or {name, f"{name}-service"} & set(services):
        return finding
    return replace(finding, told=f"{finding.told}; start the service that runs {name!r}", help="sagastream streams")


def _here(finding: Finding, settings: Settings) -> Finding:
    """Fill in the server's URL in the command that helps."""
    if settings.redis_url is not None:
        return finding
    url = shlex.quote(str(settings.data_dir / "run" / "redis.url"))
    return replace(finding, help=finding.help.replace("$REDIS_URL", f"$(cat {url})"))


def _told(found: Sequence[Finding]) -> Iterator[Line]:
    what = {finding: " ".join(filter(None, (finding.check, finding.about))) for finding in found}
    width = max(map(len, what.values()), default=0)
    for finding in found:
        head = Part(f"{finding.verdict:<9}", _TONES[finding.verdict])
        yield Line((head, Part(f"{what[finding]:<{width}}  ", Tone.STRONG), Part(finding.told)))
        if finding.help:
            yield Line((Part(f"{'':<9}→ {finding.help}", Tone.FAINT),))
    for verdict, word in ((Verdict.PROBLEM, "problems"), (Verdict.WARNING, "warnings")):
        count = sum(finding.verdict is verdict for finding in found)
        if count:
            yield Line((Part(f"{count} {word if count > 1 else word[:-1]}", Tone.STRONG),))
    if worst(found) is Verdict.OK:
        yield Line((Part("nothing is wrong", Tone.STRONG),))
