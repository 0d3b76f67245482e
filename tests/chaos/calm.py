"""After the storm: everybody is back, everything is read, every saga has ended or needs a person; then the audit."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sagastream import keys as names
from sagastream.bus import Reply
from sagastream.errors import ReplyError
from sagastream.keys import COORDINATOR, FOUND, RETRIES, Keys
from sagastream.replies import named
from sagastream.saga.lifecycle import Status
from tests.chaos.scene import CAST, GROUPS, PACE, Scene, streams_of
from tests.processes.child import ROOT, environment
from tests.processes.crew import PROVIDER
from tests.processes.orders import Placed
from tests.processes.shop import PREFIX
from tests.processes.until import until

_READY_S = 60.0
_ENDED_S = 240.0
_AUDIT_S = 600.0
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Life:
    """One saga as it ended: its status, when it began and when it ended (epoch ms; None if it did not)."""

    status: str
    began_ms: int
    ended_ms: int | None


@dataclass(frozen=True)
class Verdict:
    """What the auditor says, and what the coordinators had found by themselves while it stormed."""

    compared: int
    unknown: Counter[str]
    differences: tuple[str, ...]
    found_meanwhile: tuple[str, ...]


async def at_rest(scene: Scene, placed: Sequence[Placed]) -> str:
    """Wait until everybody works, nothing is left to read and every saga has ended or needs a person.

    Returns what is still not so when the time is up, nothing if all is.
    """
    crew = scene.crew
    await crew.start(*(name for name in CAST if crew.exit_code(name) is not None))
    told = "the processes are not ready"

    async def ask() -> bool:
        nonlocal told
        told = await _left(scene, placed)
        return not told

    try:
        await until(ask, "rest", _READY_S + _ENDED_S, every_s=0.5)
    except AssertionError:
        return told
    return ""


async def lives(scene: Scene, placed: Sequence[Placed]) -> list[Life | None]:
    """Return how each order's saga ended, None for one that has no record."""
    keys = Keys(PREFIX, COORDINATOR)
    found: list[Life | None] = []
    for at in range(0, len(placed), _AT_ONCE):
        commands = [
            ("HMGET", keys.key(names.record(each.saga_id)), "status", "started_ms", "ended_ms")
            for each in placed[at : at + _AT_ONCE]
        ]
        for reply in await scene.insist_all(commands):
            if isinstance(reply, ReplyError):
                raise reply
            status, began, ended = reply if isinstance(reply, list) else (None, None, None)
            is_whole = status is not None and began is not None
            found.append(Life(str(status), int(str(began)), int(str(ended)) if ended else None) if is_whole else None)
    return found


async def audit(scene: Scene, placed: Sequence[Placed]) -> Verdict:
    """Let `sagastream audit` compare everything there is, the shop's books included."""
    acknowledged = scene.data_dir / "acknowledged.txt"
    acknowledged.write_text("".join(f"{each.saga_id}\n" for each in placed))
    found = await scene.insist("HGETALL", Keys(PREFIX, COORDINATOR).key(FOUND))
    settings = {
        "REDIS_URL": scene.server.url,
        "ORDER_DEADLINE_PACE": str(PACE),
        "PAYMENT_PROVIDER_URL": scene.crew.url(PROVIDER),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sagastream.cli", "audit", "--at-rest", "--json", "--acknowledged", str(acknowledged),
        cwd=ROOT, env=environment(scene.data_dir, **settings), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_AUDIT_S):
            said, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _verdict(scene.data_dir, said, complaints, found)


def _verdict(data_dir: Path, said: bytes, complaints: bytes, found: Reply) -> Verdict:
    (data_dir / "audit.json").write_bytes(said)
    try:
        told = json.loads(said)
    except ValueError:
        raise AssertionError(f"the audit could not be made: {complaints.decode(errors='replace')}") from None
    unknown: Counter[str] = Counter()
    for rule in told["rules"]:
        unknown.update(rule["unknown"])
    meanwhile = named(found)
    return Verdict(
        compared=sum(rule["compared"] for rule in told["rules"]),
        unknown=unknown,
        differences=tuple(f"{d['rule']}: {d['about']}: expected {d['expected']}, found {d['found']}"
                          for d in told["differences"]),
        found_meanwhile=tuple(meanwhile.values()),
    )  # fmt: skip


async def _left(scene: Scene, placed: Sequence[Placed]) -> str:
    """Return one thing that is not at rest yet, nothing if all is."""
    for group in GROUPS.values():
        for stream in streams_of(group):
            (info,) = await scene.insist_all([("XINFO", "STREAM", stream)])
            if isinstance(info, ReplyError) or not isinstance(info, list):
                continue  # nothing was ever published to it
            told = await scene.group(stream, group)
            last = str(info[info.index("last-generated-id") + 1])
            if told.get("last-delivered-id") != last or told["pending"] != "0":
                return f"{group} on {stream}: read to {told.get('last-delivered-id')} of {last}, {told['pending']} open"
        waiting = await scene.insist("ZCARD", Keys(PREFIX, group).key(RETRIES))
        if waiting:
            return f"{waiting} messages wait for their next attempt in {group}"
    for each, life in zip(placed, await lives(scene, placed), strict=True):
        if life is None or not (Status(life.status).is_end or Status(life.status) is Status.NEEDS_ATTENTION):
            return f"saga {each.saga_id} is {life.status if life else 'not recorded'}"
    return ""
