"""Forget a group that is gone, or an event it no longer handles, so that nothing more is kept for it. Speaks Redis.

Messages that the group had not settled are lost to it; its state, ledger and dead letters stay. Its streams are found
in its own registry of the streams it reads, and in the publishers' registries of the groups that read theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from sagastream.bus import Bus
from sagastream.errors import ReplyError, SagastreamError
from sagastream.keys import ATTEMPTS, GROUPS, RETRIES, STREAMS, Keys, events
from sagastream.replies import listed, named, texts


class CannotForget(SagastreamError):
    """The group is still at work, or is unknown; the message says which."""


async def forget(
    bus: Bus, keys: Keys, publishers: Sequence[str], *, watch: timedelta, event: str | None = None
) -> list[str]:
    """Forget the owner of these keys as a group on streams of these publishers; return the streams it read.

    With ``event``, forget only the stream of that event, which the group no longer handles.

    ``watch`` must be longer than a read blocks: within it, a consumer still at work creates the group again, at the
    stream's beginning, so that it loses nothing. After a crash, call this again to finish.

    Raises: ``CannotForget``.
    """
    group = keys.owner
    noted = await _noted(bus, keys, publishers)
    own = texts(await bus.query.execute("HKEYS", keys.key(GROUPS)))
    fields = {(owner, name): seen for (owner, name), seen in noted.items() if event is None or name == events(event)}
    read = (stream for stream in own if event is None or stream.endswith(f"}}:{events(event)}"))
    streams = sorted({*read, *(keys.of(owner).key(name) for owner, name in fields)})
    if not streams:
        what = "a stream" if event is None else event
        raise CannotForget(f"nobody called {group!r} ever read {what} here")
    # The groups first: a publisher that still saw one would note it again. While it is noted, nothing is trimmed.
    for reply in await bus.writer.pipeline([("XGROUP", "DESTROY", stream, group) for stream in streams]):
        if isinstance(reply, ReplyError) and "key to exist" not in str(reply) and reply.code != "WRONGTYPE":
            raise reply
    # A consumer's idle time proves nothing: some servers count a blocked read as idle, and none is idle just after the
    # server has started.
    await asyncio.sleep(watch.total_seconds())
    await _must_stay_away(bus, streams, group)
    for (owner, name), seen in fields.items():
        others = " ".join(each for each in seen.split() if each != group)
        await bus.writer.execute("HSET", keys.of(owner).key(STREAMS), name, others)
    if event is None:
        await bus.writer.execute("DEL", keys.key(GROUPS), keys.key(ATTEMPTS), keys.key(RETRIES))
    else:
        await bus.writer.execute("HDEL", keys.key(GROUPS), *streams)
    return streams


async def _noted(bus: Bus, keys: Keys, publishers: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return the publishers' notes of the groups that read a stream, for each stream that this group reads."""
    replies = await bus.query.pipeline([("HGETALL", keys.of(owner).key(STREAMS)) for owner in publishers])
    return {
        (owner, name): seen
        for owner, reply in zip(publishers, replies, strict=True)
        for name, seen in named(reply).items()
        if keys.owner in seen.split()
    }


async def _must_stay_away(bus: Bus, streams: Sequence[str], group: str) -> None:
    replies = await bus.query.pipeline([("XINFO", "GROUPS", stream) for stream in streams])
    for stream, reply in zip(streams, replies, strict=True):
        if any(named(each)["name"] == group for each in listed(reply)):
            told = f"it has made itself again on {stream}, and reads once more what is kept there"
            raise CannotForget(f"{group!r} is at work: {told}; stop it first")
