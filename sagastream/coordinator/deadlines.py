"""Deadlines: looks at sagas whose timer has run out, but only once everything published by then has been read.

The sweep never takes a timer away: the transaction that stores the saga's next turn sets the next timer, so a crash
in between loses nothing, and of two sweeps one finds another version. APScheduler merely wakes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from sagastream import keys as names
from sagastream.bus import Bus, Reply
from sagastream.clock import ms_of
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import Note, Record, Records
from sagastream.envelope import pairs
from sagastream.errors import ReplyError, ServerUnavailable, Undecodable, UnknownTable
from sagastream.keys import COORDINATOR, TIMERS, Keys
from sagastream.saga.advance import tick
from sagastream.saga.definition import Saga
from sagastream.ticker import Ticker, every
from sagastream.transaction import Transaction, Transactor

log = structlog.get_logger(__name__)

PERIOD = timedelta(milliseconds=25)
SOON = timedelta(milliseconds=5)  # after which what was held back is looked at again: most of it is settled by then
TRIES = 4  # until the next sweep
QUIET = timedelta(milliseconds=100)  # how long it is believed that no timer runs out; those set meanwhile run longer
LATER = timedelta(hours=1)
REST = timedelta(seconds=1)  # after a look at sagas that only another coordinator can judge
AT_ONCE = 200
STEP = timedelta(seconds=2)  # a clock that moves against the monotonic one by more than this is not believed
SETTLES = timedelta(seconds=5)  # nor is it for so long afterwards: it may be put right again


class Deadlines:
    """The sweep of one coordinator."""

    def __init__(
        self,
        bus: Bus,
        keys: Keys,
        meanings: Meanings,
        records: Records,
        transactor: Transactor,
        streams: Sequence[str],
        parked: Sequence[str],
        ticker: Ticker = every,
    ) -> None:
        self.held_back_by: str | None = None
        self._query = bus.query
        self._group = keys.owner
        self._timers = keys.key(TIMERS)
        self._meanings = meanings
        self._records = records
        self._transactor = transactor
        self._streams = streams
        self._parked = parked
        self._ticker = ticker
        self._clock_pair: tuple[int, float] | None = None
        self._steady_from = 0.0
        self._rests_until = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until told to stop."""
        await self._ticker(PERIOD, self.sweep_safely, stop)

    async def sweep_safely(self) -> None:
        """Sweep, and look again a few times at what is held back; leave it at that while the server is in trouble."""
        try:
            for _ in range(TRIES):
                while await self.sweep() >= AT_ONCE:
                    pass
                if self.held_back_by is None:
                    break
                await asyncio.sleep(SOON.total_seconds())
        except (ServerUnavailable, ReplyError) as error:
            self.held_back_by = str(error)

    async def sweep(self) -> int:
        """Look at the sagas whose timer has run out; return how many took a turn."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._rests_until:
            return 0
        now_ms, next_ms = await self._next()
        if not self._is_steady(now_ms):
            return 0
        if next_ms is None or next_ms > now_ms:
            self.held_back_by = None
            quiet_s = QUIET.total_seconds()
            until_next_s = quiet_s if next_ms is None else (next_ms - now_ms) / 1000
            self._rests_until = loop.time() + min(until_next_s, quiet_s)
            return 0
        read_ms, behind = await self._read_until(now_ms)
        due = await self._due(read_ms)
        self.held_back_by = None if due else behind
        # Read after the groups were seen to be through: what they have read by now is in these records.
        skipped = 0
        while due:
            turns = await asyncio.gather(*(self._turn_of(saga_id, read_ms) for saga_id in due))
            batch = [turn for turn in turns if turn is not None]
            if batch:
                return sum(outcome.is_ok for outcome in (await self._transactor.commit(batch)).outcomes)
            skipped += len(due)  # none of these is ours to judge; they must not crowd out what follows
            self._rests_until = loop.time() + REST.total_seconds()
            due = await self._due(read_ms, skipped)
        return 0

    async def _next(self) -> tuple[int, int | None]:
        """Return the server's time, and when the first of the timers runs out."""
        time, first = await self._query.pipeline([("TIME",), ("ZRANGE", self._timers, 0, 0, "WITHSCORES")])
        found = _list(_sound(first))
        return ms_of(_sound(time)), int(float(str(found[1]))) if found else None

    async def _due(self, upto_ms: int, skip: int = 0) -> list[str]:
        reply = await self._query.execute("ZRANGE", self._timers, "-inf", upto_ms, "BYSCORE", "LIMIT", skip, AT_ONCE)
        return [str(saga_id) for saga_id in reply] if isinstance(reply, list) else []

    async def _turn_of(self, saga_id: str, now_ms: int) -> Transaction | None:
        """Return the turn of a saga whose timer has run out, None if its table is another coordinator's."""
        try:
            record = await self._records.load(saga_id)
            if record is None:
                return self._put_off(saga_id, None)
            saga = self._meanings.of(record.progress.definition, str(record.progress.version)).saga
        except UnknownTable:
            return None
        except Undecodable as error:
            log.error("saga.cannot_be_looked_at", saga_id=saga_id, error=str(error))
            return self._put_off(saga_id, now_ms + LATER // timedelta(milliseconds=1))
        try:
            return self._turned(saga, record, now_ms)
        except Exception as error:  # whatever is wrong with one saga, all others go on
            log.error("saga.cannot_be_advanced", saga_id=saga_id, exc_info=error)
            return self._put_off(saga_id, now_ms + LATER // timedelta(milliseconds=1))

    def _turned(self, saga: Saga, record: Record, now_ms: int) -> Transaction:
        turn = tick(saga, record.progress, now_ms=now_ms)
        before = record.progress.last_event_id  # time passes since something; without it there would be no timer
        notes = [
            Note(h.fact.at_ms, h.fact.event_id, "StepOverdue", COORDINATOR, before, h.step, h.kind, h.fact.reason)
            for h in turn.news
        ]
        cause = notes[-1].id if notes else before
        return self._records.save(saga, record, turn, notes, cause=cause, now_ms=now_ms)

    def _put_off(self, saga_id: str, until_ms: int | None) -> Transaction:
        """Keep a timer nothing can be done about from crowding out the others; without a record it has no use."""
        tx = Transaction(self._records.reader, saga_id=saga_id, key=saga_id, now_ms=0)
        if until_ms is None:
            tx.expect(names.record(saga_id), "version", None)  # unless another coordinator writes it just now
            tx.unschedule(TIMERS, saga_id)
        else:
            tx.schedule(TIMERS, saga_id, until_ms)
        return tx

    async def _read_until(self, now_ms: int) -> tuple[int, str | None]:
        """Return the instant up to which all that was published is read and settled, and the stream that limits it."""
        commands = [
            command
            for stream in self._streams
            for command in (
                ("XINFO", "STREAM", stream),
                ("XINFO", "GROUPS", stream),
                ("XPENDING", stream, self._group),
            )
        ]
        replies = await self._query.pipeline([*(("XLEN", stream) for stream in self._parked), *commands])
        for stream in self._parked:
            if _sound(replies.pop(0)) != 0:
                return 0, stream
        upto, behind = now_ms, None
        for at, stream in enumerate(self._streams):
            info, groups, pending = (_sound(reply) for reply in replies[at * 3 : at * 3 + 3])
            read = read_until(info, groups, pending, self._group, now_ms)
            if read < upto:
                upto, behind = read, stream
        return upto, behind

    def _is_steady(self, now_ms: int) -> bool:
        """Tell whether the server's clock moves like ours; a step of it must not fire what is not due."""
        monotonic = asyncio.get_running_loop().time()
        before, self._clock_pair = self._clock_pair, (now_ms, monotonic)
        if before is None:
            return True
        drift = (now_ms - before[0]) / 1000 - (monotonic - before[1])
        if abs(drift) > STEP.total_seconds():
            log.warning("clock.stepped", seconds=round(drift, 3))
            self.held_back_by = "a step of the server's clock"
            self._steady_from = monotonic + SETTLES.total_seconds()
        return monotonic >= self._steady_from


def read_until(info: Reply, groups: Reply, pending: Reply, group: str, now_ms: int) -> int:
    """Return the instant up to which a group has read and settled everything in a stream."""
    mine = next((g for g in (_named(g) for g in _list(groups)) if g["name"] == group), None)
    if mine is None:
        return 0
    oldest = _list(pending)[1] if _list(pending) else None
    until = now_ms if oldest is None else _ms_of(str(oldest)) - 1
    if _has_read_all(info, mine["last-delivered-id"]):
        return min(until, now_ms)
    return min(until, _ms_of(mine["last-delivered-id"]) - 1)


def _has_read_all(info: Reply, delivered: str) -> bool:
    """Tell whether nothing that is still in a stream comes after what was delivered last.

    Not whether everything that ever was in it was delivered: what was trimmed before the group began never will be.
    """
    told = _list(info)
    last = _list(told[told.index("last-entry") + 1])
    return not last or _entry_id(str(last[0])) <= _entry_id(delivered)


def _entry_id(text: str) -> tuple[int, int]:
    ms, _, seq = text.partition("-")
    return int(ms), int(seq)


def _sound(reply: Reply | ReplyError) -> Reply:
    if isinstance(reply, ReplyError):
        raise reply
    return reply


def _ms_of(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _list(reply: Reply) -> list[Reply]:
    return reply if isinstance(reply, list) else []


def _named(reply: Reply) -> dict[str, str]:
    return pairs([str(value) for value in _list(reply)])
