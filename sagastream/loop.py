"""The main loop of a consumer: recover, then read and handle until stopped; pause while the server is in trouble.

Knows neither handlers nor sagas; its caller supplies the functions that process messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from sagastream.bus import Bus
from sagastream.clock import ServerClock, server_ms
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.intake import Intake, Message
from sagastream.store import WrongStore

log = structlog.get_logger(__name__)

_PAUSE = timedelta(milliseconds=100)
_LONGEST_PAUSE = timedelta(seconds=2)

Handle = Callable[[list[Message]], Awaitable[None]]
Beside = Callable[[], Awaitable[timedelta]]
Tidy = Callable[[], Awaitable[None]]
Forget = Callable[[], Awaitable[None]]
TIDY = timedelta(minutes=1)


async def _nothing() -> None:
    pass


class Loop:
    """Reads one intake and passes each batch to ``handle``; the batch is empty if a read timed out without messages.

    ``recovered`` receives messages delivered before and never acknowledged: own entries at a start and after trouble,
    other consumers' entries once they are idle for ``claim_idle``. ``beside`` runs before each read and returns how
    long that read may block. ``tidy`` runs about once a minute, even while nothing can be stored, but only on the right
    store. ``forget`` is called in trouble: messages handed over but not settled are redelivered. ``linger`` is the
    shortest time from a read that brought several messages to the next read, so that messages arriving meanwhile form
    one batch; under low load nothing waits.
    """

    def __init__(
        self,
        bus: Bus,
        intake: Intake,
        clock: ServerClock,
        *,
        handle: Handle,
        recovered: Handle,
        beside: Beside,
        tidy: Tidy,
        claim_idle: timedelta,
        forget: Forget = _nothing,
        linger: timedelta = timedelta(0),
    ) -> None:
        self._bus = bus
        self._intake = intake
        self._clock = clock
        self._handle = handle
        self._recovered = recovered
        self._beside = beside
        self._tidy = tidy
        self._forget = forget
        self._tidy_at = 0.0
        self._claim_idle = claim_idle
        self._claim_at = 0.0
        self._linger_s = linger.total_seconds()
        self._read_from = 0.0
        self._is_awaited = asyncio.Event()
        self._must_recover = True
        self._is_reading = False
        self._is_stopping = False
        self.is_ready = False
        self.trouble: str | None = None
        self._refused: str | None = None
        self.tried = asyncio.Event()
        """Set once every event published from then on will be read, or once trouble has prevented that."""

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until ``stop`` is set; then finish the current batch and return."""
        work = asyncio.create_task(self._consume(), name=f"consume:{self._intake.group}")
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            self._is_stopping = True
            if self._is_reading:
                # Cancelling a read may lose its reply: its entries stay pending here and are read first at next start.
                work.cancel()
            await asyncio.wait({work})
            if not work.cancelled():
                work.result()  # raises an unforeseen error
            await self._conclude()
        finally:
            self.is_ready = False
            stopped.cancel()
            work.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)

    def recover(self) -> None:
        """Read own pending entries again before new ones: some of them may not have been settled."""
        self._must_recover = True

    def hasten(self) -> None:
        """Begin the next read without lingering, which also acknowledges settled messages: a caller waits for it."""
        self._is_awaited.set()

    async def flush(self) -> None:
        """Acknowledge settled messages, unless in trouble: another server may lack the commits that settled them."""
        if not self.trouble:
            await self._intake.flush()

    async def _consume(self) -> None:
        failures = 0
        while not self._is_stopping:
            try:
                await self._round()
                failures = 0
            except (ServerUnavailable, ReplyError, WrongStore) as error:
                failures += 1
                self._in_trouble(error)
                await self._forget()
                await asyncio.sleep(min(_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE).total_seconds())

    async def _round(self) -> None:
        if self._must_recover:
            self._must_recover = False
            await self._intake.check()
            # Tidy before commands that a full server refuses: only trimming frees memory for them.
            await self._tidy_now_and_then()
            await self._intake.open()
            self.tried.set()
            self._clock.observe(await server_ms(self._bus.query))
            await self._recovered(await self._intake.own())
            if self.trouble:
                log.info("consumer.resumed", group=self._intake.group)
            self.is_ready, self.trouble, self._refused = True, None, None
        now = asyncio.get_running_loop().time()
        if now >= self._claim_at:
            self._claim_at = now + self._claim_idle.total_seconds() / 2
            await self._recovered(await self._intake.claimed(self._claim_idle))
        await self._tidy_now_and_then()
        wait = await self._beside()
        await self._linger()
        if self._is_stopping:
            return
        self._is_reading = True
        try:
            messages = await self._intake.new(wait)
        finally:
            self._is_reading = False
        if len(messages) > 1:
            self._read_from = asyncio.get_running_loop().time() + self._linger_s
        await self._handle(messages)

    async def _conclude(self) -> None:
        """Settle pending work; messages that cannot be settled now are redelivered."""
        with suppress(ServerUnavailable, ReplyError):
            await self._handle([])
            await self.flush()

    async def _tidy_now_and_then(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY.total_seconds()
            await self._tidy()

    async def _linger(self) -> None:
        early_s = self._read_from - asyncio.get_running_loop().time()
        if early_s > 0:
            over = asyncio.get_running_loop().call_later(early_s, self._is_awaited.set)
            try:
                await self._is_awaited.wait()
            finally:
                over.cancel()
        self._is_awaited.clear()

    def _in_trouble(self, error: Exception) -> None:
        if not self.trouble:
            log.warning("consumer.paused", group=self._intake.group, error=str(error))
        # Log such an error even if the loop is already paused, since it does not pass by itself; but log it only once,
        # since every round meets it.
        if _is_grave(error) and str(error) != self._refused:
            self._refused = str(error)
            log.error("consumer.refused", group=self._intake.group, error=self._refused)
        self._must_recover = True
        self.is_ready, self.trouble = False, str(error)
        self.tried.set()


def _is_grave(error: Exception) -> bool:
    return isinstance(error, WrongStore) or (isinstance(error, ReplyError) and error.code != "NOGROUP")
