"""Work that is still to be done: streams on which groups lag, and open dead letters. Reads; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import sub
from typing import cast

from sagastream import keys as names
from sagastream.bus import Command, Connection, Reply
from sagastream.coordinator.meaning import Meanings
from sagastream.errors import ReplyError
from sagastream.event import LIFECYCLE
from sagastream.keys import COORDINATOR, WEBHOOKS, Keys
from sagastream.replies import entries, listed, named, sound, taken_ms, texts
from sagastream.saga.definition import Saga

UNHEARD_AT_MOST = 100  # per stream; that there are any says enough


@dataclass(frozen=True, slots=True)
class Lag:
    """One group on one stream.

    ``unread`` is None if the server cannot tell (entries were removed in between); ``oldest_ms`` is when the oldest
    entry that was read but not acknowledged appeared (epoch ms), None if there is none.
    """

    stream: str
    group: str
    unread: int | None
    pending: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class Parking:
    """Events that wait for a coordinator that knows their table; ``since_ms`` is when the first was parked."""

    table: str
    version: str
    events: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class Unheard:
    """Events that wait for a coordinator whose tables use them, counted up to a limit; ``since_ms`` is of the first."""

    stream: str
    events: int
    since_ms: int


def streams(sagas: Sequence[Saga], keys: Keys) -> list[str]:
    """Return every stream these sagas use."""
    participants = dict.fromkeys(name for saga in sagas for name in saga.participants)
    return [
        *Meanings(sagas).streams(keys),
        *(keys.requests(name) for name in participants),
        *(keys.events(kind.type_name()) for kind in LIFECYCLE),
    ]


def owners(sagas: Sequence[Saga]) -> list[str]:
    """Return the name of every stream reader that may dead-letter messages, running or not."""
    return [*dict.fromkeys(name for saga in sagas for name in saga.participants), COORDINATOR, WEBHOOKS]


async def read_lags(connection: Connection, streams: Sequence[str]) -> list[Lag]:
    """Return how far each group is behind, in two round trips; a stream that does not exist yet has none."""
    replies = await connection.pipeline([("XINFO", "GROUPS", stream) for stream in streams])
    groups = [
        (stream, told) for stream, reply in zip(streams, replies, strict=True) for told in map(named, listed(reply))
    ]
    held = [(stream, told["name"]) for stream, told in groups if told["pending"] != "0"]
    summaries = await connection.pipeline([("XPENDING", stream, name) for stream, name in held])
    oldest = {key: _oldest_ms(summary) for key, summary in zip(held, summaries, strict=True)}
    return [
        Lag(
            stream=stream,
            group=told["name"],
            unread=int(lag) if (lag := told.get("lag")) else None,
            pending=int(told["pending"]),
            oldest_ms=oldest.get((stream, told["name"])),
        )
        for stream, told in groups
    ]


async def read_open_letters(connection: Connection, keys: Keys, owners: Sequence[str]) -> dict[str, int]:
    """Return how many open dead letters each owner has, in one round trip."""
    commands: list[Command] = []
    for owner in owners:
        commands += [("XLEN", keys.of(owner).key(names.LETTERS)), ("HLEN", keys.key(names.letters(owner)))]
    counts = [int(str(sound(reply))) for reply in await connection.pipeline(commands)]
    return dict(zip(owners, map(sub, counts[::2], counts[1::2]), strict=True))


async def read_parked(connection: Connection, keys: Keys) -> list[Parking]:
    """Return the tables of which events are parked, whether they are known here or not."""
    reply = await connection.execute("HGETALL", keys.key(names.PARKED))
    tables = [name.partition(":")[::2] for name in texts(reply)[::2]]
    commands: list[Command] = []
    for table, version in tables:
        stream = keys.key(names.parked(table, version))
        commands += [("XLEN", stream), ("XRANGE", stream, "-", "+", "COUNT", 1)]
    replies = await connection.pipeline(commands)
    found = []
    for at, (table, version) in enumerate(tables):
        length, first = (sound(reply) for reply in replies[2 * at : 2 * at + 2])
        for entry, _ in entries(first):
            found.append(Parking(table, version, int(str(length)), taken_ms(entry)))
    return sorted(found, key=lambda one: (one.table, int(one.version)))


async def read_unheard(connection: Connection, keys: Keys, sagas: Sequence[Saga]) -> list[Unheard]:
    """Return what is unread on streams that only coordinators of other tables read; one command if there are none."""
    registered = await connection.execute("HGETALL", keys.key(names.GROUPS))
    others = set(texts(registered)[::2])
    wanted = sorted(others - set(Meanings(sagas).streams(keys)))
    replies = await connection.pipeline([("XINFO", "GROUPS", stream) for stream in wanted])
    read_to = {
        stream: told["last-delivered-id"]
        for stream, reply in zip(wanted, replies, strict=True)
        for told in map(named, listed(reply))
        if told["name"] == keys.owner
    }
    unread = await connection.pipeline(
        [("XRANGE", stream, f"({last}", "+", "COUNT", UNHEARD_AT_MOST) for stream, last in read_to.items()]
    )
    found = []
    for stream, reply in zip(read_to, unread, strict=True):
        if isinstance(reply, list) and reply:
            first = cast("list[Reply]", reply[0])
            found.append(Unheard(stream, len(reply), taken_ms(first[0])))
    return found


def _oldest_ms(summary: Reply | ReplyError) -> int | None:
    if not isinstance(summary, list) or summary[1] is None:
        return None
    return taken_ms(summary[1])
