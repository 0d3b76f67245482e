"""Which groups read which stream, and how far each has come. Speaks Redis; changes nothing.

The number of unread entries is the server's ``lag``, which is not always right: it is absent once entries were deleted
from the middle, and too large for ever once entries were trimmed before the group had read them. It is corrected here
if it can be derived otherwise, and None if not. It can still be too large for a while after somebody trimmed unread
entries by hand: once the group has read more than were trimmed nothing tells, until it has read everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sagastream.bus import Command, Connection, Reply
from sagastream.clock import ms_of
from sagastream.coordinator.lags import owners, streams
from sagastream.errors import ReplyError
from sagastream.keys import GROUPS, OWNER, STREAMS, Keys
from sagastream.replies import entry_id, listed, named, sound, taken_ms
from sagastream.saga.definition import Saga


@dataclass(frozen=True, slots=True)
class Consumer:
    """One process of a group: what it has read but not settled, how long ago it last asked for and last got entries.

    Before 7.2 Redis does not tell when it asked; no server tells when it got entries if it never did.
    """

    name: str
    pending: int
    asked_age_ms: int | None
    given_age_ms: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """One group on one stream. ``lag`` is None if it cannot be known; both instants are those of entries (epoch ms).

    A group that ``is_missing`` existed once: its stream is not trimmed until it is back.
    """

    name: str
    lag: int | None = None
    pending: int = 0
    oldest_pending_ms: int | None = None
    oldest_unread_ms: int | None = None
    consumers: tuple[Consumer, ...] = ()
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream and its groups; ``problem`` says why its key cannot be read as a stream."""

    name: str
    owner: str
    length: int
    groups: tuple[Group, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Registered:
    """A group as the server lists it, with what its stream reported in the same round trip."""

    stream: str
    group: Mapping[str, str]
    length: int
    unread: int | None
    has_more: bool

    @property
    def commands(self) -> list[Command]:
        """Return the commands still to be sent; most groups have read everything and have nothing pending."""
        name = self.group["name"]
        asked: list[Command] = []
        if self.group["consumers"] != "0":
            asked.append(("XINFO", "CONSUMERS", self.stream, name))
        if self.group["pending"] != "0":
            asked.append(("XPENDING", self.stream, name))
        if self.has_more:
            asked.append(("XRANGE", self.stream, f"({self.group['last-delivered-id']}", "+", "COUNT", 1))
        return asked


async def read_streams(connection: Connection, keys: Keys, sagas: Sequence[Saga]) -> tuple[int, list[Stream]]:
    """Return the server's time (epoch ms) and every stream these sagas use or anybody has registered, by name.

    Takes three round trips: two commands for each owner, two for each stream and at most three for each group.
    """
    readers = owners(sagas)
    commands: list[Command] = [("TIME",)]
    for owner in readers:
        commands += [("HKEYS", keys.of(owner).key(GROUPS)), ("HGETALL", keys.of(owner).key(STREAMS))]
    time, *told = [sound(reply) for reply in await connection.pipeline(commands)]
    wanted = _expected(keys, readers, told, streams(sagas, keys))
    names = sorted(wanted)
    replies = await connection.pipeline(
        [command for name in names for command in (("XINFO", "GROUPS", name), ("XINFO", "STREAM", name))]
    )
    registered: dict[str, list[_Registered]] = {}
    for name, groups, stream in zip(names, replies[::2], replies[1::2], strict=True):
        about = named(stream)
        registered[name] = [_registered(name, named(group), about) for group in listed(groups)]
    asked = [(group, group.commands) for name in names for group in registered[name]]
    answers = iter(await connection.pipeline([command for _, commands in asked for command in commands]))
    found: dict[str, list[Group]] = {name: [] for name in names}
    for group, commands in asked:
        found[group.stream].append(_group(group, {str(command[0]): next(answers) for command in commands}))
    return ms_of(time), [
        _stream(name, found[name], wanted[name], told) for name, told in zip(names, replies[1::2], strict=True)
    ]


def _expected(
    keys: Keys, readers: Sequence[str], told: Sequence[Reply], used: Iterable[str]
) -> dict[str, frozenset[str]]:
    """Return every stream there should be, with the groups ever seen on it, as readers and publisher registered."""
    seen: dict[str, set[str]] = {name: set() for name in used}
    for owner, read, published in zip(readers, told[::2], told[1::2], strict=True):
        for name in listed(read):
            seen.setdefault(str(name), set()).add(owner)
        for name, groups in named(published).items():
            seen.setdefault(keys.of(owner).key(name), set()).update(groups.split())
    return {name: frozenset(groups) for name, groups in seen.items()}


def _registered(name: str, group: Mapping[str, str], stream: Mapping[str, str]) -> _Registered:
    length = int(stream.get("length", "0"))
    last, newest = entry_id(group["last-delivered-id"]), entry_id(stream.get("last-generated-id", "0-0"))
    has_more = length > 0 and last < newest
    return _Registered(name, group, length, _unread(group, stream) if has_more else 0, has_more)


def _unread(group: Mapping[str, str], stream: Mapping[str, str]) -> int | None:
    length = int(stream["length"])
    if entry_id(group["last-delivered-id"]) < entry_id(stream["recorded-first-entry-id"]):
        return length  # all entries come after the last delivered one
    told, read = group.get("lag"), group.get("entries-read")
    if not told or int(told) > length:
        return None
    is_among_them = not read or int(read) > int(stream["entries-added"]) - length
    return int(told) if is_among_them else None  # it has read fewer than are gone: some went unread


def _group(group: _Registered, answers: Mapping[str, Reply | ReplyError]) -> Group:
    first = listed(answers.get("XRANGE"))
    unread_ms = taken_ms(listed(first[0])[0]) if first else None
    pending = listed(answers.get("XPENDING"))
    consumers = [named(each) for each in listed(answers.get("XINFO"))]
    return Group(
        name=group.group["name"],
        lag=group.unread if unread_ms is not None else 0,
        pending=int(group.group["pending"]),
        oldest_pending_ms=taken_ms(pending[1]) if pending and pending[1] is not None else None,
        oldest_unread_ms=unread_ms,
        consumers=tuple(map(_consumer, consumers)),
    )


def _consumer(told: Mapping[str, str]) -> Consumer:
    given = told.get("inactive")
    if given is None:
        return Consumer(told["name"], int(told["pending"]), None, int(told["idle"]))
    return Consumer(told["name"], int(told["pending"]), int(told["idle"]), int(given) if int(given) >= 0 else None)


def _stream(name: str, groups: list[Group], expected: frozenset[str], told: Reply | ReplyError) -> Stream:
    here = {group.name for group in groups}
    missing = [Group(each, is_missing=True) for each in sorted(expected - here) if OWNER.fullmatch(each)]
    owner = name.rpartition("}")[0].rpartition("{")[2]
    problem = str(told) if isinstance(told, ReplyError) and "no such key" not in str(told) else None
    return Stream(name, owner, int(named(told).get("length", "0")), (*groups, *missing), problem)
