"""Up to when coordinators have read and settled everything, while sagas are under way. Speaks Redis; changes nothing.

`due.lua` computes the same for deadlines, in another way, so neither can hide a fault of the other.
"""

from __future__ import annotations

from datetime import timedelta

from sagastream.audit.scene import Scene
from sagastream.bus import Reply
from sagastream.coordinator.meaning import Meanings
from sagastream.errors import ReplyError
from sagastream.replies import entry_id, listed, named, taken_ms

GRACE = timedelta(seconds=2)
_MS = timedelta(milliseconds=1)


async def cut(scene: Scene, now_ms: int) -> int:
    """Return the instant up to which coordinators have read and settled everything; at rest that is now."""
    if scene.is_at_rest:
        return now_ms
    group, until_ms = scene.keys.owner, now_ms - GRACE // _MS
    streams = Meanings(scene.sagas).streams(scene.keys)
    commands = [
        command
        for stream in streams
        for command in (("XINFO", "STREAM", stream), ("XINFO", "GROUPS", stream), ("XPENDING", stream, group))
    ]
    replies = await scene.connection.pipeline(commands)
    for at in range(0, len(replies), 3):
        info, groups, pending = replies[at : at + 3]
        if isinstance(info, ReplyError):
            continue  # no such stream: there is nothing to read
        if isinstance(groups, ReplyError):
            raise groups
        until_ms = min(until_ms, read_until(info, groups, _or_none(pending), group, now_ms))
    return until_ms


def read_until(info: Reply, groups: Reply, pending: Reply, group: str, now_ms: int) -> int:
    """Return the instant up to which a group has read and settled everything in a stream."""
    mine = next((g for g in map(named, listed(groups)) if g["name"] == group), None)
    if mine is None:
        return 0
    oldest = listed(pending)[1] if listed(pending) else None
    until = now_ms if oldest is None else taken_ms(oldest) - 1
    if _has_read_all(info, mine["last-delivered-id"]):
        return min(until, now_ms)
    return min(until, taken_ms(mine["last-delivered-id"]) - 1)


def _has_read_all(info: Reply, delivered: str) -> bool:
    """Tell whether no entry still in a stream comes after the last one delivered.

    It does not tell whether every entry ever added was delivered: what was trimmed before the group began never will
    be.
    """
    told = listed(info)
    last = listed(told[told.index("last-entry") + 1])
    return not last or entry_id(last[0]) <= entry_id(delivered)


def _or_none(reply: Reply | ReplyError) -> Reply:
    if isinstance(reply, ReplyError):
        if reply.code == "NOGROUP":
            return None  # the reply about its groups shows the same
        raise reply
    return reply
