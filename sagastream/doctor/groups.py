"""Whether the groups of all readers exist, read and keep up; and whether streams can be trimmed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from sagastream import keys as names
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.readers import Group, read_streams
from sagastream.doctor.consumers import processes_of
from sagastream.doctor.finding import Finding, lasting, ok, problem, warning
from sagastream.doctor.patient import Patient
from sagastream.envelope import ID
from sagastream.errors import ReplyError
from sagastream.keys import COORDINATOR
from sagastream.participation import subscriptions
from sagastream.replies import entries, listed, named

PENDING_TOO_LONG_MS = 300_000
BEHIND_MS = 60_000
_LOOK = "sagastream streams"  # for readers whose start command is unknown here
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class _Reader:
    """One reader, the streams it must read, and the command that starts it."""

    name: str
    streams: tuple[str, ...]
    start: str


def _groups(patient: Patient) -> Iterator[_Reader]:
    for participant in patient.participants:
        streams = subscriptions(participant, patient.keys.of(participant.name))
        yield _Reader(participant.name, tuple(streams), f"sagastream participant {participant.name}")
    yield _Reader(COORDINATOR, tuple(Meanings(patient.sagas).streams(patient.keys)), "sagastream coordinator")


def _others(patient: Patient, seen: Iterable[tuple[str, str]]) -> Iterator[_Reader]:
    """Yield other readers, such as the webhook participant: streams are kept for them all the same."""
    known = {group.name for group in _groups(patient)}
    found: dict[str, list[str]] = {}
    for stream, name in seen:
        if name not in known:
            found.setdefault(name, []).append(stream)
    for name, streams in found.items():
        yield _Reader(name, tuple(streams), _LOOK)


async def readers(patient: Patient) -> list[Finding]:
    """Report for each reader whether its groups exist, and whether anyone reads for them."""
    silence = (patient.settings.claim_idle + patient.settings.block) // _MS
    found = []
    now_ms, seen = await _seen(patient)
    for group in _groups(patient):
        here = [seen.get((stream, group.name)) for stream in group.streams]
        missing = [stream for stream, one in zip(group.streams, here, strict=True) if one is None]
        ages = _ages(one for one in here if one is not None)
        heard = min((age for age, _ in ages.values()), default=None)
        alive = sum(age <= silence for age, _ in ages.values())
        help = group.start
        if missing:
            told = f"no group on {len(missing)} of {len(group.streams)} streams, such as {missing[0]}"
        elif heard is None:
            told = f"its {len(group.streams)} streams were never read"
        elif alive:
            several = "s" if alive > 1 else ""
            told = f"{alive} consumer{several} at work on {len(group.streams)} streams"
            found.append(ok("groups", told, about=group.name))
            continue
        elif all(tells_asking for _, tells_asking in ages.values()) or _behind_ms(here, now_ms) > silence:
            told = f"no consumer reads: the last one was seen {lasting(heard)} ago"
            if connected := await processes_of(patient, group.name):
                told += (
                    f", yet {', '.join(connected)} is connected: blocked by a handler that its log names, or stopped"
                )
                help = _LOOK
        else:  # before Redis 7.2 a consumer blocked on an empty stream looks as silent as a dead one
            told = f"nothing to read for {lasting(heard)}; before Redis 7.2 a server does not report who waits"
            found.append(ok("groups", told, about=group.name))
            continue
        found.append(problem("groups", told, help, about=group.name))
    return found


async def work(patient: Patient) -> list[Finding]:
    """Report the unread and pending messages of each reader."""
    silence = (patient.settings.claim_idle + patient.settings.block) // _MS
    found = []
    now_ms, seen = await _seen(patient)
    for group in (*_groups(patient), *_others(patient, seen)):
        here = [(stream, seen[stream, group.name]) for stream in group.streams if (stream, group.name) in seen]
        known = [one.lag for _, one in here if one.lag is not None]
        unread = f"{sum(known)}" if len(known) == len(here) else f"at least {sum(known)}"
        behind_ms = _behind_ms([one for _, one in here], now_ms)
        ages = [age for age, _ in _ages(one for _, one in here).values()]
        held = [(one.oldest_pending_ms, stream) for stream, one in here if one.oldest_pending_ms is not None]
        since_ms, where = min(held, default=(now_ms, ""))
        held_ms = now_ms - since_ms
        told = f"{unread} unread, {sum(one.pending for _, one in here)} pending"
        if held_ms >= PENDING_TOO_LONG_MS:
            why, help = await _holding(patient, group, where, is_alive=min(ages, default=silence + 1) <= silence)
            told += f", the oldest for {lasting(held_ms)} on {where}{why}"
            found.append(problem("work", told, help, about=group.name))
        elif behind_ms >= BEHIND_MS and group.start == _LOOK and min(ages, default=behind_ms) > silence:
            told += (
                f", and nothing has been read for {lasting(behind_ms)}: start it, or forget it if it is gone for good"
            )
            found.append(warning("work", told, f"sagastream forget {group.name}", about=group.name))
        elif behind_ms >= BEHIND_MS:
            told += f", {lasting(behind_ms)} behind: run more processes of it, each with its own CONSUMER"
            found.append(warning("work", told, group.start, about=group.name))
        elif held_ms >= BEHIND_MS:
            told += f", the oldest for {lasting(held_ms)}"
            found.append(warning("work", told, "sagastream streams", about=group.name))
        else:
            found.append(ok("work", told, about=group.name))
    return found


async def _holding(patient: Patient, group: _Reader, stream: str, *, is_alive: bool) -> tuple[str, str]:
    """Return why the oldest pending message of a stream is not settled, and the command that helps."""
    held = listed(await patient.bus.query.execute("XPENDING", stream, group.name, "-", "+", 1))
    if not held:
        return "", _LOOK  # settled meanwhile
    id, consumer, *_ = map(str, listed(held[0]))
    attempts_key = patient.keys.of(group.name).key(names.ATTEMPTS)
    failed = await patient.bus.query.execute("HGET", attempts_key, f"{stream}|{id}")
    if failed is None and not is_alive and not await processes_of(patient, group.name):
        return f": consumer {consumer} read it and is gone", group.start
    told = dict(entries(await patient.bus.query.execute("XRANGE", stream, id, id))).get(id, {})
    saga_id = told.get("correlationid", "")
    help = f"sagastream show {saga_id}" if ID.fullmatch(saga_id) else _LOOK
    if failed is not None:
        return f": it failed {failed} times and will be retried", help
    return f": {consumer} has not settled it, and says why in its log and at its health", help


async def trimming(patient: Patient) -> list[Finding]:
    """Report streams that are not trimmed because a group that once read them is gone, or no longer reads them."""
    found = [finding async for finding in _read_no_more(patient)]
    for owner in patient.owners:
        keys = patient.keys.of(owner)
        known = named(await patient.bus.query.execute("HGETALL", keys.key(names.STREAMS)))
        streams = [(name, set(seen.split())) for name, seen in known.items() if seen]
        replies = await patient.bus.query.pipeline([("XINFO", "GROUPS", keys.key(name)) for name, _ in streams])
        for (name, seen), groups in zip(streams, replies, strict=True):
            missing = seen - {group["name"] for group in map(named, listed(groups))}
            if missing and not isinstance(groups, ReplyError):
                told = f"{keys.key(name)} is not trimmed: {', '.join(sorted(missing))} once read it and is gone"
                found.append(warning("trimming", told, f"sagastream forget {min(missing)}", about=owner))
    return found or [ok("trimming", "no stream waits for a group that is gone")]


async def _read_no_more(patient: Patient) -> AsyncIterator[Finding]:
    """Yield streams that a participant read in another release: its group stays at the position it reached."""
    now_ms, seen = await _seen(patient)
    reads = {group.name: group.streams for group in _groups(patient) if group.name != COORDINATOR}
    for (stream, name), group in seen.items():
        behind_ms = _behind_ms([group], now_ms)
        event = stream.partition("}:events:")[2]
        if event and stream not in reads.get(name, (stream,)) and behind_ms >= BEHIND_MS:
            told = f"{stream} has been kept for {lasting(behind_ms)} for {name}, which no longer handles {event}"
            yield warning("trimming", told, f"sagastream forget {name} {event}", about=name)


async def _seen(patient: Patient) -> tuple[int, dict[tuple[str, str], Group]]:
    """Return the server's time (epoch ms), and each existing group, by its stream and its name.

    Raises: ``ReplyError`` for a stream that this user may not inspect.
    """
    now_ms, streams = await read_streams(patient.bus.query, patient.keys, patient.sagas)
    for stream in streams:
        if stream.problem is not None and stream.problem.startswith("NOPERM"):
            raise ReplyError("NOPERM", stream.problem)
    groups = ((stream.name, group) for stream in streams for group in stream.groups)
    return now_ms, {(name, group.name): group for name, group in groups if not group.is_missing}


def _ages(groups: Iterable[Group]) -> dict[str, tuple[int, bool]]:
    """Return how long ago each consumer was last seen on any stream (ms), and whether that is its last read."""
    ages: dict[str, tuple[int, bool]] = {}
    for consumer in (consumer for group in groups for consumer in group.consumers):
        asked = consumer.asked_age_ms
        age = (asked if asked is not None else consumer.given_age_ms or 0, asked is not None)
        ages[consumer.name] = min(age, ages.get(consumer.name, age))
    return ages


def _behind_ms(groups: Iterable[Group | None], now_ms: int) -> int:
    """Return the age of the oldest unread entry (ms), 0 if all were read."""
    since = [one.oldest_unread_ms for one in groups if one is not None and one.oldest_unread_ms is not None]
    return now_ms - min(since, default=now_ms)
