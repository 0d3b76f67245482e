"""Deadlines: looks at sagas whose timer has run out, but only once everything published by then has been read.

The sweep never removes a timer: the transaction that stores the saga's next turn sets the next timer, so a crash in
between loses nothing, and of two concurrent sweeps one finds a newer version. APScheduler only wakes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

import structlog

from sagastream import keys as names
from sagastream.bus import Bus
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import Note, Record, Records
from sagastream.errors import ReplyError, ServerUnavailable, Undecodable, UnknownTable
from sagastream.keys import COORDINATOR, TIMERS, Keys
from sagastream.replies import listed, texts
from sagastream.saga.advance import tick
from sagastream.saga.definition import Saga
from sagastream.script import packaged
from sagastream.ticker import Ticker, every
from sagastream.transaction import OutcomeKind, Transaction, Transactor

log = structlog.get_logger(__name__)

PERIOD = timedelta(milliseconds=25)
AWAKE = timedelta(milliseconds=20)  # of a period, so that this call ends before the next one begins
SOON = timedelta(milliseconds=2)  # the least time between looks; by then most of what held a timer back is settled
QUIET = timedelta(milliseconds=100)  # how long "no timer runs out" is believed; timers set meanwhile run longer
LATER = timedelta(hours=1)
REST = timedelta(seconds=1)  # after a look that found only sagas another coordinator can judge
AT_ONCE = 200
STEP = timedelta(seconds=2)  # a server clock that moves against the monotonic one by more than this is not believed
SETTLES = timedelta(seconds=5)  # nor is it for so long afterwards: it may be set right again


class Look(NamedTuple):
    """The result of one look: server time, when the first timer runs out, and the sagas whose timer has run out.

    Everything published up to ``upto_ms`` has been read; ``behind`` is the key that limits it, None if no timer is held
    back.
    """

    now_ms: int
    next_ms: int | None
    upto_ms: int = 0
    behind: str | None = None
    due: tuple[str, ...] = ()

    @property
    def is_quiet(self) -> bool:
        """Tell whether no timer has run out, regardless of what has been read."""
        return self.next_ms is None or self.next_ms > self.now_ms


class Deadlines:
    """The sweep of one coordinator; calls ``hasten`` when a deadline is held back by messages still to be read."""

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
        hasten: Callable[[], None] = lambda: None,
    ) -> None:
        self.held_back_by: str | None = None
        self._query = bus.query
        self._group = keys.owner
        self._meanings = meanings
        self._records = records
        self._transactor = transactor
        self._keys = (keys.key(TIMERS), *streams, *parked)
        self._streams = len(streams)
        self._ticker = ticker
        self._hasten = hasten
        self._clock_pair: tuple[int, float] | None = None
        self._steady_from = 0.0
        self._rests_until = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until ``stop`` is set."""
        await self._ticker(PERIOD, self.sweep_safely, stop)

    async def sweep_safely(self) -> None:
        """Sweep for most of a period: at once, when the next timer runs out, and again soon if one is held back.

        Stop early while the server is in trouble.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + AWAKE.total_seconds()
        try:
            while True:
                while await self.sweep() >= AT_ONCE:
                    pass
                nap_s = max(SOON.total_seconds(), self._rests_until - loop.time())
                if loop.time() + nap_s >= ends_at:
                    return
                await asyncio.sleep(nap_s)
        except (ServerUnavailable, ReplyError) as error:
            self.held_back_by = str(error)

    async def sweep(self) -> int:
        """Look at the sagas whose timer has run out; return for how many a turn was stored."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._rests_until:
            return 0
        look = await self._look()
        if not self._is_steady(look.now_ms):
            return 0
        self.held_back_by = look.behind
        if self.held_back_by is not None:
            self._hasten()
        if look.is_quiet:
            quiet_s = QUIET.total_seconds()
            until_next_s = quiet_s if look.next_ms is None else (look.next_ms - look.now_ms) / 1000
            self._rests_until = loop.time() + min(until_next_s, quiet_s)
        skipped = 0
        while look.due:
            # Load records only after the look: whatever the groups had read by then is in these records.
            turns = await asyncio.gather(*(self._turn_of(saga_id, look.upto_ms) for saga_id in look.due))
            batch = [turn for turn in turns if turn is not None]
            if batch:
                return await self._store(batch, look.upto_ms)
            skipped += len(look.due)  # other coordinators judge all of these; they must not crowd out the rest
            self._rests_until = loop.time() + REST.total_seconds()
            look = await self._look(skipped)
        return 0

    async def _look(self, skip: int = 0) -> Look:
        reply = await packaged("due.lua").run(self._query, self._keys, self._group, self._streams, skip, AT_ONCE)
        now_ms, next_ms, *rest = listed(reply)
        look = Look(int(str(now_ms)), None if next_ms is None else int(str(next_ms)))
        if not rest:
            return look
        upto_ms, behind, due = rest
        return look._replace(
            upto_ms=int(str(upto_ms)),
            behind=None if behind is None else str(behind),
            due=tuple(texts(due)),
        )

    async def _turn_of(self, saga_id: str, now_ms: int) -> Transaction | None:
        """Return the turn of a saga whose timer has run out, None if only another coordinator knows its table."""
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
        except Exception as error:  # a fault in one saga must not stop the others
            log.error("saga.cannot_be_advanced", saga_id=saga_id, exc_info=error)
            return self._put_off(saga_id, now_ms + LATER // timedelta(milliseconds=1))

    def _turned(self, saga: Saga, record: Record, now_ms: int) -> Transaction:
        turn = tick(saga, record.progress, now_ms=now_ms)
        before = record.progress.last_event_id  # the event since which time passes; without one there would be no timer
        notes = [
            Note(h.fact.at_ms, h.fact.event_id, "StepOverdue", COORDINATOR, before, h.step, h.kind, h.fact.reason)
            for h in turn.news
        ]
        cause = notes[-1].id if notes else before
        return self._records.save(saga, record, turn, notes, cause=cause, now_ms=now_ms)

    async def _store(self, batch: Sequence[Transaction], now_ms: int) -> int:
        """Store turns and return how many succeeded; postpone those that never can, or each look would retry them."""
        outcomes = (await self._transactor.commit(batch)).outcomes
        hopeless = []
        for tx, outcome in zip(batch, outcomes, strict=True):
            if outcome.kind not in (OutcomeKind.OK, OutcomeKind.REFUSED):
                log.error("saga.cannot_be_advanced", saga_id=tx.saga_id, error=f"{outcome.kind}: {outcome.detail}")
            if outcome.kind is OutcomeKind.MALFORMED:
                hopeless.append(self._put_off(tx.saga_id, now_ms + LATER // timedelta(milliseconds=1)))
        if hopeless:
            await self._transactor.commit(hopeless)
        return sum(outcome.is_ok for outcome in outcomes)

    def _put_off(self, saga_id: str, until_ms: int | None) -> Transaction:
        """Postpone a timer that nothing can be done about, lest it crowd out others; remove one without a record."""
        tx = Transaction(self._records.reader, saga_id=saga_id, key=saga_id, now_ms=0)
        if until_ms is None:
            tx.expect(names.record(saga_id), "version", None)  # unless another coordinator is writing it right now
            tx.unschedule(TIMERS, saga_id)
        else:
            tx.schedule(TIMERS, saga_id, until_ms)
        return tx

    def _is_steady(self, now_ms: int) -> bool:
        """Tell whether the server's clock moves like ours; a step of it must not fire deadlines that are not due."""
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
