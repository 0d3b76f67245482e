"""The coordinator at work: adds every event of every saga to the saga's record, a batch at a time.

All events of one saga in a batch are one write. Any number of coordinators may run: a write that finds a newer version
of the record is decided again on that version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog

from sagastream.bus import Bus
from sagastream.clock import ServerClock
from sagastream.coordinator.aside import Aside
from sagastream.coordinator.bundle import Bundle, poisoned
from sagastream.coordinator.deadlines import Deadlines
from sagastream.coordinator.folding import Folding
from sagastream.coordinator.holding import Holding
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import Record, Records
from sagastream.coordinator.retention import Retention, kept
from sagastream.coordinator.snapshots import Snapshots
from sagastream.coordinator.storing import Storing
from sagastream.coordinator.tables import Tables
from sagastream.envelope import ID
from sagastream.errors import ReplyError, ServerUnavailable, Undecodable, UnknownTable
from sagastream.intake import Intake, Message
from sagastream.keys import COORDINATOR, Keys
from sagastream.loop import Loop
from sagastream.reaping import Reaper
from sagastream.saga.definition import Saga
from sagastream.settings import Settings
from sagastream.store import WrongStore
from sagastream.telemetry import Telemetry
from sagastream.ticker import Ticker, every, only_if
from sagastream.transaction import OutcomeKind, Transaction, Transactor
from sagastream.trimming import Keeping, Trimming

log = structlog.get_logger(__name__)

# Under load, events of one saga follow each other within milliseconds; lingering lets one write cover several.
LINGER = timedelta(milliseconds=2)


class Coordinator:
    """Tracks sagas of the given tables on one server. Implements ``sagastream.service.Worker``."""

    name = COORDINATOR

    def __init__(
        self,
        sagas: Sequence[Saga],
        *,
        bus: Bus,
        settings: Settings,
        telemetry: Telemetry,
        ticker: Ticker = every,
    ) -> None:
        self._telemetry = telemetry
        self._meanings = Meanings(sagas)
        telemetry.expect(self._meanings.types())
        self._block = settings.block
        self._clock = ServerClock()
        keys = Keys(settings.key_prefix, COORDINATOR)
        self.records = Records(bus, keys)
        self._transactor = Transactor(bus.writer, keys, retention=settings.ledger_retention)
        self._folding = Folding(self._meanings, self.records, self._clock)
        self._holding = Holding(self._meanings, telemetry, batch=settings.batch)
        self._storing = Storing(self._store)
        self._aside = Aside(self._meanings.sagas, bus, keys, self.records.reader, self._transactor)
        self._look_aside_at = 0.0
        self._stuck: set[str] = set()  # messages of the current batch that can be neither handled nor dead-lettered
        self._intake = Intake(
            bus, keys, self._meanings.streams(keys), consumer=f"{COORDINATOR}-{settings.consumer}", size=settings.batch,
            store=settings.store, on_trimmed=telemetry.trimmed,
        )  # fmt: skip
        self._loop = Loop(
            bus, self._intake, self._clock, handle=self._handle, recovered=self._at_once, beside=self._beside,
            tidy=self._tidy, forget=self._forget, claim_idle=settings.claim_idle, linger=LINGER,
        )  # fmt: skip
        self.tried = self._loop.tried
        ready = only_if(self._reads, ticker)
        self.deadlines = Deadlines(
            bus, keys, self._meanings, self.records, self._transactor, self._intake.streams, self._aside.streams, ready,
            self._hasten,
        )  # fmt: skip
        self._tables = Tables(self._meanings.sagas, bus, self.records.reader, self._transactor)
        self._snapshots = Snapshots(bus.query, self.records.reader, self._transactor, ready)
        right = only_if(self._is_on_the_right_store, ticker)
        self._retention = Retention(self.records.reader, self._transactor, kept(settings), right)
        self._reaper = Reaper(bus, self._intake.streams, self._intake.group, silent=settings.consumer_forgotten)
        self._trimming = Trimming(bus, keys, self._meanings.publications(), Keeping.of(settings))

    async def run(self, stop: asyncio.Event) -> None:
        """Track sagas until ``stop`` is set."""
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(each.run(stop)) for each in (self.deadlines, self._snapshots, self._retention)]
            try:
                await self._loop.run(stop)
            finally:
                await self._storing.cancel()
                for task in beside:
                    task.cancel()

    def is_ready(self) -> bool:
        """Tell whether events are being read."""
        return self._loop.is_ready

    def describe(self) -> Mapping[str, str | int | float | bool | None]:
        """Return the state of this coordinator, for people."""
        return {
            "sagas": ", ".join(f"{saga.name} v{saga.version}" for saga in self._meanings.sagas),
            "consuming": self._loop.is_ready,
            "trouble": self._loop.trouble,
            "deadlinesHeldBackBy": self.deadlines.held_back_by,
            "tablesDiffer": self._tables.difference,
        }

    async def _reads(self) -> bool:
        """Tell whether the loop reads; after any trouble the store may be another one until the loop has checked it.

        Little is lost meanwhile: a coordinator that cannot read cannot store, or knows too little to judge lateness.
        """
        return self._loop.is_ready

    async def _is_on_the_right_store(self) -> bool:
        """Check the store for work that goes on while nothing can be stored: only removals free a full server."""
        try:
            await self._intake.check()
        except (WrongStore, ServerUnavailable, ReplyError):
            return False  # the loop meets the same error and reports it
        return True

    async def _tidy(self) -> None:
        await self._snapshots.take_safely()  # before anything is counted, so that windows may start now
        await self._tables.tell_safely()
        await self._trimming.trim()
        await self._reaper.reap()

    async def _beside(self) -> timedelta:
        """Handle parked messages whose table is known here, now and then; return how long a read may wait."""
        now = asyncio.get_running_loop().time()
        if now >= self._look_aside_at:
            parked = await self._aside.parked()
            if not parked:
                self._look_aside_at = now + self._block.total_seconds()
                return self._wait()
            await self._at_once([one.message for one in parked])
            await self._aside.taken([one for one in parked if one.message.name not in self._stuck])
            if self._stuck:
                self._look_aside_at = now + self._block.total_seconds()
            return timedelta(0)
        return self._wait()

    def _wait(self) -> timedelta:
        return LINGER if self._holding or self._storing else self._block  # store held events in time even if none come

    def _hasten(self) -> None:
        self._holding.hasten()
        self._loop.hasten()

    async def _forget(self) -> None:
        self._holding.forget()
        await self._storing.give_up()

    async def _at_once(self, messages: list[Message]) -> None:
        self._holding.hasten()
        await self._handle(messages)
        await self._storing.end()

    async def _handle(self, messages: list[Message]) -> None:
        """Begin to store what is ripe; in a rush, read the next batch meanwhile, otherwise wait for the end."""
        if not self._storing:
            self._stuck.clear()
        now_s = asyncio.get_running_loop().time()
        beside = self._holding.take_up(messages, now_s=now_s)
        await self._storing.begin(self._holding.ripe(now_s=now_s))
        if not self._holding.is_rush(messages) or beside.unknown or beside.poison:
            await self._storing.end()
        elif self._storing:
            self._loop.hasten()  # the read is sent before the bundles are folded, and answered by the time they are
        for message in beside.unknown:
            await self._set_aside(message)
        for message, why in beside.poison:  # last, because the sagas they mark may have begun in this batch
            await self._fence(message, why)
        self._settle([*beside.silent, *beside.unknown, *(message for message, _ in beside.poison)])

    def _settle(self, messages: list[Message]) -> None:
        if self._stuck:
            messages = [message for message in messages if message.name not in self._stuck]
        self._intake.settled(messages)

    async def _store(self, bundles: Sequence[Bundle]) -> None:
        """Store some bundles of a batch, then settle their messages."""
        await self._store_together(list(bundles))
        for bundle in bundles:
            self._settle(bundle.messages)

    async def _store_together(self, open_: list[Bundle]) -> None:
        """Store bundles in one call; decide again on the stored record wherever it was not the expected one.

        A bundle with a beginning is first assumed to be of a new saga: the write detects the opposite, without a read.
        """
        unseen = {bundle.first.saga_id for bundle in open_ if bundle.has_beginning}
        while open_:
            asked = [bundle.first.saga_id for bundle in open_ if bundle.first.saga_id not in unseen]
            records = dict(zip(asked, await self.records.load_each(asked), strict=True))
            batch: list[tuple[Bundle, Transaction]] = []
            for bundle in open_:
                record = records.get(bundle.first.saga_id)
                known = self._folding.known(bundle, record)
                if isinstance(known, UnknownTable):
                    assert isinstance(record, Record)  # the events' table is known here, the record's is not
                    for message in bundle.messages:
                        await self._park(message, record.progress.definition, str(record.progress.version))
                elif isinstance(known, Undecodable):
                    await self._bury_all(bundle, str(known))
                elif known[0] is not bundle.meaning.saga:
                    for message in bundle.messages:
                        await self._fence_stranger(message)
                else:
                    try:
                        batch.append((bundle, self._folding.folded(bundle, *known)))
                    except Exception as error:  # a fault in one saga must not stop the others
                        await self._fence_all(bundle, error)
            if not batch:
                return
            receipt = await self._transactor.commit([tx for _, tx in batch])
            if receipt.now_ms:
                self._clock.observe(receipt.now_ms)
            again: list[Bundle] = []
            for (bundle, _), outcome in zip(batch, receipt.outcomes, strict=True):
                if outcome.kind is OutcomeKind.REFUSED:
                    if bundle.first.saga_id not in unseen:
                        self._telemetry.conflict()
                    again.append(bundle)
                elif not outcome.is_ok:
                    await self._bury_all(bundle, f"{outcome.kind}: {outcome.detail}")
            open_, unseen = again, set()

    async def _fence(self, message: Message, why: str) -> None:
        """Dead-letter an event that cannot be understood and mark its saga, if it names one; all others go on."""
        log.error("event.poison", stream=message.stream, id=message.id, error=why)
        await self._bury(message, why)
        saga_id = message.fields.get("correlationid", "")
        try:
            record = await self.records.load(saga_id) if ID.fullmatch(saga_id) else None
            if record is None:
                return
            meaning = self._meanings.of(record.progress.definition, str(record.progress.version))
        except Undecodable as error:
            log.error("saga.cannot_be_marked", saga_id=saga_id, error=str(error))
            return
        await self._store_together([poisoned(record, meaning, message, why, self._clock.now_ms())])

    async def _fence_all(self, bundle: Bundle, error: Exception) -> None:
        """Dead-letter an unforeseen failure; the reason names only the error's type, for its text may hold anything."""
        saga_id = bundle.latest.saga_id
        log.error("saga.cannot_be_advanced", saga_id=saga_id, exc_info=error)
        for message in bundle.messages:  # none, if marking the saga failed
            await self._fence(message, f"{type(error).__name__} when it was to be stored")

    async def _fence_stranger(self, message: Message) -> None:
        """Dead-letter a message whose table is not that of its saga's record, set by the first message read."""
        table, version = message.fields["definition"], message.fields["definitionversion"]
        await self._fence(message, f"it claims to be of {table[:64]!r}, version {version[:16]!r}")

    async def _set_aside(self, message: Message) -> None:
        """Park an event of a table unknown here, unless the record of its saga names one that is known."""
        saga_id = message.fields["correlationid"]
        table, version = message.fields["definition"], message.fields["definitionversion"]
        (record,) = await self.records.load_each([saga_id])
        if isinstance(record, Undecodable):
            return await self._bury(message, str(record))
        if record is not None:
            if self._meanings.table(record.progress) is not None:
                return await self._fence_stranger(message)
            table, version = record.progress.definition, str(record.progress.version)  # who knows that table judges
        await self._park(message, table, version)

    async def _bury_all(self, bundle: Bundle, why: str) -> None:
        log.error("record.cannot_be_stored", saga_id=bundle.first.saga_id, error=why)
        for message in bundle.messages:
            await self._bury(message, why)

    async def _bury(self, message: Message, why: str) -> None:
        if await self._aside.bury(message, why):
            self._telemetry.buried()
        else:
            self._stuck.add(message.name)

    async def _park(self, message: Message, table: str, version: str) -> None:
        if await self._aside.park(message, table, version):
            log.warning("event.parked", stream=message.stream, id=message.id, table=table, version=version)
        else:
            await self._bury(message, f"no table can be called {table[:64]!r} of version {version[:16]!r}")
