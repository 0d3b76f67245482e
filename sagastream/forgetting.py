"""Forgets a group that is gone for good, so that nothing is kept for it any more. Speaks Redis.

What it had not settled is lost to it; its state, ledger and dead letters stay. It is found where it wrote down itself
what it reads, and where publishers wrote down who reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sagastream.bus import Bus, Reply
from sagastream.envelope import pairs
from sagastream.errors import ReplyError, SagastreamError
from sagastream.keys import ATTEMPTS, GROUPS, RETRIES, STREAMS, Keys

SILENT = timedelta(minutes=1)


class CannotForget(SagastreamError):
    """The group is at work, or nobody has heard of it; the message says which."""


async def forget(bus: Bus, keys: Keys, publishers: Sequence[str]) -> list[str]:
    """Forget the owner of these keys as a group on streams of these publishers; return the streams it read.

    Doing it again after a crash finishes it.

    Raises: ``CannotForget``; then nothing was changed.
    """
    group = keys.owner
    fields = await _noted(bus, keys, publishers)
    own = _list(await bus.query.execute("HKEYS", keys.key(GROUPS)))
    streams = sorted({*map(str, own), *(keys.of(owner).key(name) for owner, name in fields)})
    if not streams:
        raise CannotForget(f"nobody called {group!r} ever read a stream here")
    await _must_be_silent(bus, streams, group)
    # The group first: a publisher that still sees it would note it again.
    for reply in await bus.writer.pipeline([("XGROUP", "DESTROY", stream, group) for stream in streams]):
        if isinstance(reply, ReplyError) and "key to exist" not in str(reply) and reply.code != "WRONGTYPE":
            raise reply
    for (owner, name), seen in fields.items():
        others = " ".join(each for each in seen.split() if each != group)
        await bus.writer.execute("HSET", keys.of(owner).key(STREAMS), name, others)
    await bus.writer.execute("DEL", keys.key(GROUPS), keys.key(ATTEMPTS), keys.key(RETRIES))
    return streams


async def _noted(bus: Bus, keys: Keys, publishers: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return each publisher's note of who reads one of its streams, where the group is among them."""
    replies = await bus.query.pipeline([("HGETALL", keys.of(owner).key(STREAMS)) for owner in publishers])
    return {
        (owner, name): seen
        for owner, reply in zip(publishers, replies, strict=True)
        for name, seen in pairs([str(value) for value in _list(reply)]).items()
        if keys.owner in seen.split()
    }


async def _must_be_silent(bus: Bus, streams: Sequence[str], group: str) -> None:
    replies = await bus.query.pipeline([("XINFO", "CONSUMERS", stream, group) for stream in streams])
    for reply in replies:
        for consumer in (pairs([str(value) for value in _list(each)]) for each in _list(reply)):
            if int(consumer["idle"]) < SILENT // timedelta(milliseconds=1):
                asked = f"{consumer['name']} asked for messages {int(consumer['idle']) // 1000} s ago"
                wait_s = SILENT // timedelta(seconds=1)
                raise CannotForget(f"{group!r} is at work: {asked}; stop it, and wait {wait_s} s")


def _list(reply: Reply | ReplyError) -> list[Reply]:
    return reply if isinstance(reply, list) else []
