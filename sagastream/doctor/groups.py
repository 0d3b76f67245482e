"""Who reads which streams: whether all are there, heard of, and keep up; and whether streams can be trimmed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sagastream import keys as names
from sagastream.bus import Reply
from sagastream.clock import server_ms
from sagastream.consumer import subscriptions
from sagastream.coordinator.lags import Lag, read_lags
from sagastream.coordinator.meaning import Meanings
from sagastream.doctor.finding import Finding, lasting, ok, problem, warning
from sagastream.doctor.patient import Patient
from sagastream.envelope import pairs
from sagastream.errors import ReplyError
from sagastream.keys import COORDINATOR

PENDING_TOO_LONG_MS = 300_000
BEHIND_MS = 60_000
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class _Group:
    """One reader, the streams it must read, and the command that starts it."""

    name: str
    streams: tuple[str, ...]
    start: str


def _groups(patient: Patient) -> Iterator[_Group]:
    for participant in patient.participants:
        streams = subscriptions(participant, patient.keys.of(participant.name))
        yield _Group(participant.name, tuple(streams), f"sagastream participant {participant.name}")
    yield _Group(COORDINATOR, tuple(Meanings(patient.sagas).streams(patient.keys)), "sagastream coordinator")


async def readers(patient: Patient) -> list[Finding]:
    """Tell of each reader whether its groups are there, and whether anybody reads."""
    silence = (patient.settings.claim_idle + patient.settings.block) // _MS
    found = []
    for group in _groups(patient):
        replies = await patient.bus.query.pipeline(
            [("XINFO", "CONSUMERS", stream, group.name) for stream in group.streams]
        )
        missing = [stream for stream, told in zip(group.streams, replies, strict=True) if _is_missing(told)]
        consumers = [row for reply in replies for row in _rows(reply)]
        idle: dict[str, int] = {}
        for consumer in consumers:
            name, ms = consumer["name"], int(consumer["idle"])
            idle[name] = min(ms, idle.get(name, ms))
        heard = min(idle.values(), default=None)
        # Before Redis 7.2 a consumer that waits for what does not come is as silent as one that is gone.
        tells_waiting = all("inactive" in consumer for consumer in consumers)
        if missing:
            told = f"no group on {len(missing)} of {len(group.streams)} streams, such as {missing[0]}"
        elif heard is None:
            told = f"nobody ever read its {len(group.streams)} streams"
        elif heard > silence and (tells_waiting or await _unread_for(patient, group) > silence):
            told = f"nobody reads: last heard of {lasting(heard)} ago"
        elif heard > silence:
            told = f"nothing to read for {lasting(heard)}, and this server does not tell who waits for it"
            found.append(ok("groups", told, about=group.name))
            continue
        else:
            alive = sum(one <= silence for one in idle.values())
            found.append(ok("groups", f"{alive} at work on {len(group.streams)} streams", about=group.name))
            continue
        found.append(problem("groups", told, group.start, about=group.name))
    return found


async def work(patient: Patient) -> list[Finding]:
    """Tell of each reader what it has not read, and what it has in hand."""
    found = []
    for group in _groups(patient):
        lags = [lag for lag in await read_lags(patient.bus.query, group.streams) if lag.group == group.name]
        now_ms = await server_ms(patient.bus.query)
        known = [lag.unread for lag in lags if lag.unread is not None]
        unread = f"{sum(known)}" if len(known) == len(lags) else f"at least {sum(known)}"
        behind_ms = await _unread_for(patient, group)
        pending = sum(lag.pending for lag in lags)
        worst = min((lag for lag in lags if lag.oldest_ms is not None), key=_since, default=None)
        held_ms = 0 if worst is None else now_ms - _since(worst)
        told = f"{unread} unread, {pending} in hand"
        if worst is not None and held_ms >= PENDING_TOO_LONG_MS:
            told += f", the oldest for {lasting(held_ms)} on {worst.stream}"
            found.append(problem("work", told, group.start, about=group.name))
        elif behind_ms >= BEHIND_MS:
            told += f", behind by {lasting(behind_ms)}: more processes of it help, each with its own CONSUMER"
            found.append(warning("work", told, group.start, about=group.name))
        elif held_ms >= BEHIND_MS:
            told += f", the oldest for {lasting(held_ms)}"
            found.append(warning("work", told, "sagastream streams", about=group.name))
        else:
            found.append(ok("work", told, about=group.name))
    return found


async def trimming(patient: Patient) -> list[Finding]:
    """Tell which streams are not trimmed because a group that once read them is gone."""
    found = []
    for owner in patient.owners:
        keys = patient.keys.of(owner)
        known = pairs(
            [str(part) for part in _list(await patient.bus.query.execute("HGETALL", keys.key(names.STREAMS)))]
        )
        streams = [(name, set(seen.split())) for name, seen in known.items() if seen]
        replies = await patient.bus.query.pipeline([("XINFO", "GROUPS", keys.key(name)) for name, _ in streams])
        for (name, seen), groups in zip(streams, replies, strict=True):
            missing = seen - {group["name"] for group in _rows(groups)}
            if missing and not isinstance(groups, ReplyError):
                told = f"{keys.key(name)} is kept whole: {', '.join(sorted(missing))} once read it and is gone"
                found.append(warning("trimming", told, f"sagastream forget {min(missing)}", about=owner))
    return found or [ok("trimming", "no stream waits for a group that is gone")]


async def _unread_for(patient: Patient, group: _Group) -> int:
    """Return for how long the oldest entry it has not read has been there (ms), 0 if it has read all."""
    query = patient.bus.query
    now_ms = await server_ms(query)
    replies = await query.pipeline([("XINFO", "GROUPS", stream) for stream in group.streams])
    read = [
        (stream, told["last-delivered-id"])
        for stream, reply in zip(group.streams, replies, strict=True)
        for told in _rows(reply)
        if told["name"] == group.name
    ]
    first = await query.pipeline([("XRANGE", stream, f"({at}", "+", "COUNT", 1) for stream, at in read])
    entries = [entry for reply in first for entry in (reply if isinstance(reply, list) else [])]
    since = [int(str(entry[0]).partition("-")[0]) for entry in entries if isinstance(entry, list)]
    return now_ms - min(since, default=now_ms)


def _since(lag: Lag) -> int:
    return lag.oldest_ms or 0


def _is_missing(reply: Reply | ReplyError) -> bool:
    if isinstance(reply, ReplyError) and reply.code == "NOPERM":
        raise reply
    return isinstance(reply, ReplyError)


def _rows(reply: Reply | ReplyError) -> list[dict[str, str]]:
    return [pairs([str(part) for part in row]) for row in _list(reply) if isinstance(row, list)]


def _list(reply: Reply | ReplyError) -> list[Reply]:
    return reply if isinstance(reply, list) else []
