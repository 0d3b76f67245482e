"""Reads everything about some sagas, side by side. Speaks Redis; judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from sagastream import keys as names
from sagastream.audit.case import Case, Ledger, note
from sagastream.audit.scene import Scene
from sagastream.bus import Command, Reply
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import FIELDS, read_record
from sagastream.errors import ReplyError, Undecodable
from sagastream.keys import TIMERS
from sagastream.ledger import parse
from sagastream.replies import listed, named, scores, sound, values
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status

_RECORD = (*FIELDS, "ended_ms")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A saga whose record is missing, cannot be read, or began with a table that is unknown here."""

    saga_id: str
    why: str
    is_absent: bool = False
    is_foreign: bool = False
    is_listed: bool = False


class Cases:
    """Loads sagas, a page at a time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._keys = scene.keys
        self._meanings = Meanings(scene.sagas)
        self._followed = frozenset(stream.rpartition(":")[2] for stream in scene.streams())
        self._retention_ms = scene.settings.ledger_retention // timedelta(milliseconds=1)
        self._participants = tuple(dict.fromkeys(name for saga in scene.sagas for name in scene.ledgers(saga)))

    async def load(self, saga_ids: Sequence[str], *, now_ms: int, read_until_ms: int) -> list[Case | Unreadable]:
        """Return everything about these sagas except their events, in their order."""
        if not saga_ids:
            return []
        key = self._keys.key
        indexes = self._indexes()
        commands: list[Command] = [("HMGET", key(names.record(id_)), *_RECORD) for id_ in saga_ids]
        commands += [("LRANGE", key(names.history(id_)), 0, -1) for id_ in saga_ids]
        commands += [
            ("HGETALL", self._keys.of(by).key(names.ledger(id_))) for id_ in saga_ids for by in self._participants
        ]
        encoded = [saga_id.encode() for saga_id in saga_ids]  # encoded once here, not by the client for every index
        commands += [("ZMSCORE", key(name), *encoded) for name in (TIMERS, *indexes)]
        replies = iter(await self._scene.connection.pipeline(commands))
        records = list(islice(replies, len(saga_ids)))
        histories = list(islice(replies, len(saga_ids)))
        ledgers = [list(islice(replies, len(self._participants))) for _ in saga_ids]
        timers, *listings = (scores(sound(reply)) for reply in replies)
        found: list[Case | Unreadable] = []
        for at, saga_id in enumerate(saga_ids):
            stands_in = [name for name, members in zip(indexes, listings, strict=True) if members[at] is not None]
            try:
                case = self._case(saga_id, records[at], histories[at], ledgers[at], timers[at], stands_in)
            except Undecodable as error:
                is_absent, is_foreign = isinstance(error, _Absent), isinstance(error, _Foreign)
                found.append(Unreadable(saga_id, str(error), is_absent, is_foreign, is_listed=bool(stands_in)))
                continue
            case.read_until_ms = read_until_ms
            case.is_forgotten = now_ms - case.progress.last_ms > self._retention_ms
            found.append(case)
        await self._add_initiators(found)
        return found

    def _indexes(self) -> list[str]:
        processes = dict.fromkeys(saga.name for saga in self._scene.sagas)
        return [
            names.index("all"),
            *(names.index("process", name) for name in processes),
            *(names.index("status", status, name) for status in Status for name in processes),
        ]

    def _ledgers(self, told: Sequence[Reply | ReplyError]) -> dict[str, Ledger]:
        found: dict[str, Ledger] = {}
        for participant, reply in zip(self._participants, told, strict=True):
            found[participant] = {handler: parse(text) for handler, text in named(sound(reply)).items()}
        return found

    def _case(
        self,
        saga_id: str,
        record: Reply | ReplyError,
        history: Reply | ReplyError,
        ledgers: Sequence[Reply | ReplyError],
        timer_ms: int | None,
        indexes: Sequence[str],
    ) -> Case:
        try:
            *fields, ended = values(sound(record))
            read = read_record(saga_id, fields)
            if read is None:
                raise _Absent("there is no record")
            if isinstance(read, Undecodable):
                raise read
            status, notes = Status(read.status), [note(str(line)) for line in listed(sound(history))]
            remembered = self._ledgers(ledgers)
        except (ReplyError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise Undecodable(f"{saga_id} cannot be read: {type(error).__name__}: {error}") from None
        progress = read.progress
        return Case(
            saga_id=saga_id,
            saga=self._table(progress.definition, progress.version),
            status=status,
            progress=progress,
            initiator=progress.initiator,
            ended_ms=int(ended) if ended is not None else None,
            notes=notes,
            timer_ms=timer_ms,
            indexes=frozenset(indexes),
            ledgers=remembered,
            read_until_ms=0,
            followed=self._followed,
        )

    def _table(self, definition: str, version: int) -> Saga:
        try:
            return self._meanings.of(definition, str(version)).saga
        except Undecodable as error:
            raise _Foreign(str(error)) from None

    async def _add_initiators(self, found: Sequence[Case | Unreadable]) -> None:
        of: dict[str, list[Case]] = {}
        for case in found:
            if isinstance(case, Case) and case.initiator:
                of.setdefault(names.index("initiator", case.initiator), []).append(case)
        commands = [
            ("ZMSCORE", self._keys.key(index), *(case.saga_id for case in cases)) for index, cases in of.items()
        ]
        replies = await self._scene.connection.pipeline(commands)
        for (index, cases), reply in zip(of.items(), replies, strict=True):
            for case, score in zip(cases, listed(sound(reply)), strict=True):
                if score is not None:
                    case.indexes |= {index}


class _Absent(Undecodable):
    pass


class _Foreign(Undecodable):
    pass
