"""Run a participant: read messages, settle them in batches, and acknowledge them only then.

Requests to undo or bar are settled before forward steps. A handler that waits for an outside call does so in the
background and blocks no other message. A message that is not settled stays pending and is redelivered.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta

import structlog

from sagastream.awake import AwakeTime
from sagastream.bus import Bus
from sagastream.clock import ServerClock
from sagastream.coalescer import Coalescer
from sagastream.dead_letters import put_away
from sagastream.deciding import Deciding
from sagastream.deliveries import Deliveries
from sagastream.errors import ServerUnavailable, Undecodable
from sagastream.event import REQUESTS
from sagastream.intake import Intake, Message
from sagastream.keys import Keys
from sagastream.loop import Loop
from sagastream.participant import Participant
from sagastream.participation import publications, subscriptions
from sagastream.reader import Reader
from sagastream.reaping import Reaper
from sagastream.renewing import Renewing
from sagastream.retries import OFTEN, Retries
from sagastream.settings import Settings
from sagastream.settling import Settling
from sagastream.telemetry import Telemetry
from sagastream.transaction import Transaction, Transactor
from sagastream.trimming import Keeping, Trimming
from sagastream.work import Fate, Work, recognise

log = structlog.get_logger(__name__)

GLANCE = timedelta(milliseconds=200)  # longest blocking read while outside calls are pending
OUTSIDE = 500  # outside calls that may be pending at once
LEASE = timedelta(seconds=30)  # at most: a restarted process finds its own attempts still leased
HELD_UP = timedelta(seconds=30)  # by handlers that are not ``outside``; all later messages wait


class Consumer:
    """Runs one participant against one server.

    ``resources`` are what handlers take besides event and transaction, by annotated type.
    Implements ``sagastream.service.Worker``.

    Raises (when built): ``DefinitionError`` if a handler needs a resource that was not given.
    """

    def __init__(
        self,
        participant: Participant,
        *,
        bus: Bus,
        settings: Settings,
        telemetry: Telemetry,
        resources: Mapping[type, object] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = participant.name
        self._participant = participant
        self._telemetry = telemetry
        self._block = settings.block
        self._stop_within = settings.stop_within
        self._batch = settings.batch
        keys = Keys(settings.key_prefix, participant.name)
        clock = ServerClock()
        self._reader = Reader(bus.query, keys)
        self._transactor = Transactor(bus.writer, keys, retention=settings.ledger_retention)
        deciding = Deciding(
            participant, self._reader, clock, resources=resources or {}, retention=settings.ledger_retention
        )
        lease = min(settings.claim_idle, LEASE)
        self._retries = Retries(self._reader, self._transactor, clock, lease=lease, retention=settings.ledger_retention)
        self._settling = Settling(participant, deciding, self._retries, clock, telemetry, chance=chance)
        self._intake = Intake(
            bus, keys, subscriptions(participant, keys), consumer=f"{participant.name}-{settings.consumer}",
            begins_at=participant.begins_at, size=settings.batch, store=settings.store,
            on_trimmed=telemetry.trimmed,
        )  # fmt: skip
        self._loop = Loop(
            bus, self._intake, clock, handle=self._handle, recovered=self._recovered, beside=self._beside,
            tidy=self._tidy, claim_idle=settings.claim_idle,
        )  # fmt: skip
        self.tried = self._loop.tried
        self._deliveries = Deliveries(bus, self._intake)
        self._reaper = Reaper(bus, self._intake.streams, self._intake.group, silent=settings.consumer_forgotten)
        self._trimming = Trimming(bus, keys, publications(participant), Keeping.of(settings))
        self._outcomes: Coalescer[tuple[Work, Transaction | None], bool] = Coalescer(
            self._conclude, limit=settings.batch
        )
        self._in_hand: dict[str, Work] = {}
        self._looks_every = lease / 3  # one renewal of three may fail
        self._renewing = Renewing(
            self._intake, self._retries, self._in_hand, every=self._looks_every, beside=self._tell_what_holds_up
        )
        self._outside: set[asyncio.Task[None]] = set()
        self._alone = asyncio.Lock()  # one outside call at a time, of those that may end the process
        self._settles: tuple[float, Sequence[Work]] | None = None  # start and works; nothing is read meanwhile
        self._told_since = -1.0  # start of the last hold-up that was logged
        self._stopped: asyncio.Task[bool]  # from ``run`` on
        self._awake: AwakeTime  # from ``run`` on
        self._retry_at = 0.0
        telemetry.expect([*participant.handlers, *REQUESTS], timed=True)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until ``stop`` is set, then let outside calls finish within ``STOP_WITHIN``."""
        at_most_s = 1.5 * self._looks_every.total_seconds()
        self._awake = AwakeTime(asyncio.get_running_loop().time, at_most_s=at_most_s)
        renewing = asyncio.create_task(self._renewing.run(), name=f"renew:{self.name}")
        self._stopped = asyncio.create_task(stop.wait(), name=f"stop:{self.name}")
        try:
            await self._loop.run(stop)
            if self._outside:
                await asyncio.wait(self._outside, timeout=self._stop_within.total_seconds())
                await self._loop.flush()
        finally:
            under_way = (renewing, self._stopped, *self._outside)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def is_ready(self) -> bool:
        """Tell whether messages are being consumed and none of them blocks the others."""
        return self._loop.is_ready and self._held_up() is None

    def describe(self) -> Mapping[str, str | int | float | bool | None]:
        """Return this consumer's condition for people."""
        return {
            "participant": self.name,
            "consuming": self._loop.is_ready,
            "trouble": self._loop.trouble or self._held_up(),
            "waitingOutside": len(self._outside),
        }

    def _held_up(self) -> str | None:
        if self._settles is None:
            return None
        since, works = self._settles
        lasts_s = self._awake.seconds() - since
        if lasts_s < HELD_UP.total_seconds():
            return None
        told = ", ".join(sorted({work.envelope.type for work in _unended(works)}))
        return f"handling {told} has not ended for {lasts_s:.0f} s; nothing else is read meanwhile"

    def _tell_what_holds_up(self) -> None:
        """Log once which handlers block the others: mostly one that calls outside without ``outside=True``."""
        self._awake.seconds()  # must be read regularly, or it counts too little
        why = self._held_up()
        if why is None or self._settles is None or self._settles[0] == self._told_since:
            return
        self._told_since, works = self._settles
        handlers = sorted({f"{self.name}.{work.tried.name}" for work in _unended(works) if work.tried})
        hint = "who calls outside says outside=True and gives each call a time-out"
        log.warning("consumer.held_up", group=self.name, handlers=", ".join(handlers), why=why, hint=hint)

    async def _handle(self, messages: list[Message]) -> None:
        await self._take([(message, 0) for message in messages])

    async def _recovered(self, messages: list[Message]) -> None:
        """Take redelivered messages, except those being processed here or waiting for their next attempt."""
        for at in range(0, len(messages), self._batch):
            part = messages[at : at + self._batch]
            standings = await self._retries.standings([message.name for message in part])
            left = {m.name for m in part if m.name in self._in_hand or standings[m.name].is_waiting}
            await self._deliveries.take_back(sorted(left))
            await self._take_again([(m, standings[m.name].attempts) for m in part if m.name not in left])

    async def _beside(self) -> timedelta:
        """Take messages whose next attempt is due; return how long a read may block."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._retry_at:
            names, next_in = await self._retries.due(self._in_hand)
            wait = self._block if next_in is None else min(next_in, self._block)
            self._retry_at = loop.time() + wait.total_seconds()
            await self._try_again([name for name in names if name not in self._in_hand])
        if len(self._outside) >= OUTSIDE:
            # Those calls may never end, yet the worker must be able to stop.
            await asyncio.wait({*self._outside, self._stopped}, return_when=asyncio.FIRST_COMPLETED)
        wait = min(self._block, timedelta(seconds=self._retry_at - loop.time()))
        # A background call that fails cannot wake a blocking read, and its next attempt may be due soon.
        return min(wait, GLANCE) if self._outside else wait

    async def _tidy(self) -> None:
        await self._trimming.trim()
        await self._reaper.reap()

    async def _try_again(self, due: Sequence[str]) -> None:
        standings = await self._retries.standings(list(due))
        found = [(name, await self._intake.again(name)) for name in due]
        await self._take_again([(message, standings[name].attempts) for name, message in found if message])
        for name, message in found:
            if message is None:  # another consumer settled it
                fields = await self._intake.told(name)
                await self._retries.forget([name], saga_id=fields.get("correlationid", ""))

    async def _take_again(self, messages: Sequence[tuple[Message, int]]) -> None:
        """Settle redelivered messages; settle each that may end the process alone, to find the one that does."""
        deliveries = await self._deliveries.counts([message.name for message, _ in messages])
        often = [(m, attempts) for m, attempts in messages if deliveries[m.name] - attempts > OFTEN]
        await self._take([each for each in messages if each not in often])
        for message, attempts in often:
            await self._take([(message, attempts)], deliveries[message.name])

    async def _take(self, messages: Sequence[tuple[Message, int]], deliveries: int = 0) -> None:
        """Settle messages, each with its number of attempts so far; foresee one that was delivered too often."""
        works: list[Work] = []
        for message, attempts in messages:
            try:
                works.append(recognise(self._participant, message, attempts))
            except Undecodable as error:
                await self._bury_undecodable(message, str(error))
        self._in_hand.update({work.message.name: work for work in works})
        try:
            for work in works if deliveries else ():
                work.deliveries = deliveries
                if not work.may_wait_outside:
                    await self._settling.foresee(work, self._transactor.commit)
            await self._settle([work for work in works if work.is_undoing])
            await self._settle([work for work in works if not work.is_undoing])
        finally:
            for work in works:
                if not work.is_in_background:
                    self._in_hand.pop(work.message.name, None)

    async def _settle(self, works: Sequence[Work]) -> None:
        """Settle works together; move those that wait for an outside call to the background."""
        settled: list[Message] = []
        try:
            while works:
                self._send_outside([work for work in works if work.waits_outside])
                works = [work for work in works if not work.is_in_background]
                self._settles = self._settles or (self._awake.seconds(), works)
                ended, works = await self._settling.round(works, self._transactor.commit)
                settled += self._to_acknowledge(ended)
        finally:
            self._settles = None
        self._intake.settled(settled)

    def _send_outside(self, works: Sequence[Work]) -> None:
        loop = asyncio.get_running_loop()
        for work in works:
            work.is_in_background = True
            task = loop.create_task(self._settle_outside(work), name=f"outside:{work.message.name}")
            self._outside.add(task)
            task.add_done_callback(self._outside.discard)

    async def _settle_outside(self, work: Work) -> None:
        try:
            async with self._alone if work.deliveries else nullcontext():
                if work.deliveries:
                    await self._settling.foresee(work, self._transactor.commit)
                while not await self._outcomes.ask((work, await self._settling.decide(work))):
                    pass
        except ServerUnavailable:
            self._loop.recover()
        finally:
            self._in_hand.pop(work.message.name, None)

    async def _conclude(self, decided: Sequence[tuple[Work, Transaction | None]]) -> Sequence[bool]:
        """Commit the outcomes of outside calls together; tell for each whether its work has ended."""
        ended, again = await self._settling.conclude(decided, self._transactor.commit)
        self._intake.settled(self._to_acknowledge(ended))  # the pending read blocks for ``GLANCE`` at most
        open_ = {work.message.name for work in again}
        return [work.message.name not in open_ for work, _ in decided]

    def _to_acknowledge(self, ended: Sequence[Work]) -> list[Message]:
        waiting = [work for work in ended if work.fate is Fate.WAITS]
        if waiting:
            self._retry_at = 0.0
        return [work.message for work in ended if work.fate is not Fate.WAITS]

    async def _bury_undecodable(self, message: Message, reason: str) -> None:
        """Dead-letter a message that is no event and so names no saga. If the server refuses, it stays pending."""
        log.error("event.undecodable", stream=message.stream, id=message.id, error=reason)
        tx = Transaction(self._reader, saga_id="", key="", now_ms=0)
        put_away(tx, message, reason=reason, attempts=1)
        (outcome,) = (await self._transactor.commit([tx])).outcomes
        if not outcome.is_ok:
            log.error("event.stuck", stream=message.stream, id=message.id, error=outcome.detail)
            return
        self._telemetry.buried()
        self._intake.settled([message])


def _unended(works: Sequence[Work]) -> Sequence[Work]:
    """Return the works whose handlers have not ended, or all works if every handler has."""
    return [work for work in works if work.took_s is None] or works
