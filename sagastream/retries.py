"""Which messages wait for another attempt, and how many they had. Kept in Redis, so that a crash forgets nothing.

A message that waits stays pending in its group; only its name and the instant are kept here. Attempts
are our own count, raised by failing handlers alone: the server's delivery count also rises with its own trouble.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sagastream.clock import ServerClock
from sagastream.keys import ATTEMPTS, RETRIES
from sagastream.reader import Reader
from sagastream.transaction import Transaction, Transactor

_LEASE = timedelta(seconds=10)
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Standing:
    """How a message stands: failed attempts so far, and whether it waits for its next instant."""

    attempts: int
    is_waiting: bool


class Retries:
    """The waiting room of one participant."""

    def __init__(self, reader: Reader, transactor: Transactor, clock: ServerClock) -> None:
        self._reader = reader
        self._transactor = transactor
        self._clock = clock

    async def standings(self, names: list[str]) -> dict[str, Standing]:
        """Return how each of these messages stands."""
        if not names:
            return {}
        attempts = await self._reader.read(ATTEMPTS, *names)
        due = await self._reader.command("ZMSCORE", self._reader.keys.key(RETRIES), *names)
        assert isinstance(due, list)  # ZMSCORE has no other answer
        return {
            name: Standing(int(count or 0), score is not None)
            for name, count, score in zip(names, attempts, due, strict=True)
        }

    def failed(self, tx: Transaction, name: str, attempts: int, wait: timedelta) -> None:
        """Note a failed attempt and the instant of the next."""
        tx.set(ATTEMPTS, {name: attempts})
        tx.schedule(RETRIES, name, self._clock.now_ms() + wait // timedelta(milliseconds=1))

    def settled(self, tx: Transaction, name: str) -> None:
        """Forget a message that needs no further attempt."""
        tx.unset(ATTEMPTS, name)
        tx.unschedule(RETRIES, name)

    async def due(self) -> tuple[list[str], timedelta | None]:
        """Return the messages whose instant has come, not all at once, and how long until there are more.

        They are put off by a lease, never taken out: a crash between here and their commit must not lose them.
        """
        now = self._clock.now_ms()
        reply = await self._reader.command("ZRANGE", self._reader.keys.key(RETRIES), 0, _AT_ONCE, "WITHSCORES")
        flat = [str(value) for value in reply] if isinstance(reply, list) else []
        waiting = list(zip(flat[::2], (int(float(score)) for score in flat[1::2]), strict=True))
        names = [name for name, at in waiting if at <= now]
        later = next((at for _, at in waiting if at > now), None)
        if names:
            await self._transactor.commit([self._put_off(names, now)])
        if len(names) > _AT_ONCE:
            return names, timedelta(0)
        return names, timedelta(milliseconds=later - now) if later is not None else None

    async def forget(self, names: Iterable[str]) -> None:
        """Forget messages that somebody else settled."""
        batch = []
        for name in names:
            tx = self._transaction()
            self.settled(tx, name)
            batch.append(tx)
        if batch:
            await self._transactor.commit(batch)

    def _put_off(self, names: list[str], now: int) -> Transaction:
        tx = self._transaction()
        for name in names:
            tx.schedule(RETRIES, name, now + _LEASE // timedelta(milliseconds=1))
        return tx

    def _transaction(self) -> Transaction:
        return Transaction(self._reader, saga_id="", key="", now_ms=self._clock.now_ms())
