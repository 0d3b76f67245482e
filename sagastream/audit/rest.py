"""What must not be left over when no saga is under way. Speaks Redis; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sagastream.audit.findings import Difference, Findings
from sagastream.audit.rules import REST
from sagastream.audit.scene import Scene
from sagastream.audit.statuses import status_indexes
from sagastream.coordinator.lags import read_parked
from sagastream.coordinator.meaning import Meanings
from sagastream.errors import ReplyError
from sagastream.keys import ATTEMPTS, RETRIES
from sagastream.participation import subscriptions
from sagastream.replies import listed, named, texts
from sagastream.saga.lifecycle import Status

MOST = 20  # sagas named per status


async def at_rest(scene: Scene, findings: Findings) -> None:
    """Record what is unread, unacknowledged, waiting for an attempt, or under way."""
    await _groups(scene, findings)
    await _waiting_rooms(scene, findings)
    await _parking(scene, findings)
    for (status, _), index in (await status_indexes(scene)).items():
        if status.is_end or status is Status.NEEDS_ATTENTION:
            continue  # only a person can end the latter, and is asked to elsewhere
        reply = await scene.connection.execute("ZRANGE", index, 0, MOST - 1)
        for saga_id in texts(reply):
            findings.differs(Difference(REST.name, f"saga {saga_id}", "an end", str(status), saga_id))


async def _groups(scene: Scene, findings: Findings) -> None:
    readers = _readers(scene)
    streams = scene.streams()
    infos = await scene.connection.pipeline([("XINFO", "STREAM", stream) for stream in streams])
    groups = await scene.connection.pipeline([("XINFO", "GROUPS", stream) for stream in streams])
    for stream, info, reply in zip(streams, infos, groups, strict=True):
        if isinstance(info, ReplyError) or isinstance(reply, ReplyError):
            continue  # nothing was ever published to it
        last = named(info)["last-generated-id"]
        known = {group["name"]: group for group in map(named, listed(reply))}
        for name in dict.fromkeys((*known, *readers.get(stream, ()))):
            group = known.get(name)
            found = "no such group" if group is None else _left_over(group, last)
            if found:
                findings.differs(Difference(REST.name, f"group {name} on {stream}", "everything settled", found))
            else:
                findings.holds(REST.name)


def _left_over(group: dict[str, str], last: str) -> str:
    found = []
    if group["last-delivered-id"] != last:
        found.append(f"read up to {group['last-delivered-id']} of {last}")
    if group["pending"] != "0":
        found.append(f"{group['pending']} not acknowledged")
    return ", ".join(found)


async def _waiting_rooms(scene: Scene, findings: Findings) -> None:
    for name in dict.fromkeys((*(p for saga in scene.sagas for p in scene.ledgers(saga)),)):
        keys = scene.keys.of(name)
        waiting, failed = await scene.connection.pipeline([("ZCARD", keys.key(RETRIES)), ("HLEN", keys.key(ATTEMPTS))])
        left = max(int(str(waiting)), int(str(failed)))
        if left:
            about = f"participant {name}"
            findings.differs(Difference(REST.name, about, "no message waiting for an attempt", str(left)))
        else:
            findings.holds(REST.name)


async def _parking(scene: Scene, findings: Findings) -> None:
    """Record events that wait for a coordinator which knows their table, whether it is known here or not."""
    waiting = await read_parked(scene.connection, scene.keys)
    for each in waiting:
        about = f"events of {each.table!r}, version {each.version}"
        found = f"{each.events} parked: no coordinator knows this version"
        findings.differs(Difference(REST.name, about, "read by a coordinator", found))
    if not waiting:
        findings.holds(REST.name)


def _readers(scene: Scene) -> dict[str, list[str]]:
    """Return the groups that must exist on each stream, as far as tables and participants tell."""
    readers: dict[str, list[str]] = {}
    told: Sequence[tuple[str, Sequence[str]]] = [
        (scene.keys.owner, Meanings(scene.sagas).streams(scene.keys)),
        *((each.name, subscriptions(each, scene.keys)) for each in scene.participants),
    ]
    for name, streams in told:
        for stream in streams:
            readers.setdefault(stream, []).append(name)
    return readers
