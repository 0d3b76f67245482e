"""Keep which messages wait for a retry and how many attempts they had, in Redis, so that a crash loses nothing.

A waiting message stays pending in its group; only its name and its instant are stored here. Attempts are our own count,
which only failing handlers raise: the server's delivery count also rises when the server is in trouble.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sagastream.clock import ServerClock
from sagastream.errors import ServerUnavailable
from sagastream.keys import ATTEMPTS, RETRIES, failing
from sagastream.reader import Reader
from sagastream.replies import scored, scores
from sagastream.transaction import Transaction, Transactor

OFTEN = 5  # deliveries lost with a process or its server; after more, a message is settled alone: it may be to blame
_AT_ONCE = 50
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a message's retries: failed attempts so far, and whether it waits for the next one."""

    attempts: int
    is_waiting: bool


class Retries:
    """The messages of one participant that wait for a retry.

    ``lease`` is how long an attempt belongs to the worker that took it, unless renewed; ``retention`` is how long the
    reason of a failure is kept for a message that is not heard of again.
    """

    def __init__(
        self, reader: Reader, transactor: Transactor, clock: ServerClock, *, lease: timedelta, retention: timedelta
    ) -> None:
        self._reader = reader
        self._transactor = transactor
        self._clock = clock
        self._lease = lease
        self._retention = retention
        self._leases: dict[str, int] = {}  # message → end of our lease
        self._unanswered: dict[str, int] = {}  # message → end of our lease if the unanswered call was applied

    async def standings(self, names: list[str]) -> dict[str, Standing]:
        """Return the standing of each of these messages."""
        if not names:
            return {}
        attempts = await self._reader.read(ATTEMPTS, *names)
        due = await self._scores(names)
        return {
            name: Standing(int(count or 0), due[name] is not None) for name, count in zip(names, attempts, strict=True)
        }

    def failed(self, tx: Transaction, name: str, attempts: int, wait: timedelta, *, handler: str, why: str) -> None:
        """Note a failed attempt for the transaction's saga: the handler, the reason, and when the next is due."""
        self._note(tx, name, attempts, self._clock.now_ms() + wait // _MS, f"{handler}\n{why}")

    def foreseen(self, tx: Transaction, name: str, attempts: int, *, handler: str, why: str, chance: float) -> None:
        """Note an attempt as failed before it is made, and lease it, like one that was due, for one to two leases.

        The random part keeps messages whose attempts ended with the same process from being due together again.
        """
        self._leases[name] = until = self._clock.now_ms() + self._lease * (1 + chance) // _MS
        self._note(tx, name, attempts, until, f"{handler}\n{why}")

    def settled(self, tx: Transaction, name: str) -> None:
        """Forget a message of the transaction's saga that needs no further attempt."""
        tx.unset(ATTEMPTS, name)
        tx.unschedule(RETRIES, name)
        if tx.saga_id:
            tx.unset(failing(tx.saga_id), name)

    async def due(self, in_hand: Container[str] = ()) -> tuple[list[str], timedelta | None]:
        """Lease and return due messages, a limited number at once; also return how long until more are due.

        Due messages are postponed by a lease, never removed: a crash before their commit must not lose them. Idle
        workers wake at the same instant; each message belongs to the first worker that postpones it. A message that we
        postponed but are not processing is due at once: the server was in trouble, so its lease served no attempt.
        """
        now = self._clock.now_ms()
        reply = await self._reader.command("ZRANGE", self._reader.keys.key(RETRIES), 0, _AT_ONCE, "WITHSCORES")
        waiting = scored(reply)
        due = {name: at for name, at in waiting if at <= now or (name not in in_hand and self._has_put_off(name, at))}
        later = next((at for name, at in waiting if name not in due), None)
        self._unanswered = {name: at for name, at in self._unanswered.items() if name in self._leases}
        taken = await self._put_off(due)
        if len(due) > _AT_ONCE:
            return taken, timedelta(0)
        return taken, timedelta(milliseconds=later - now) if later is not None else None

    async def renew(self, in_hand: Container[str]) -> None:
        """Renew the leases of messages that were taken here and are being processed."""
        now = self._clock.now_ms()
        # A message leased a moment ago is not yet in ``in_hand``; keep its lease.
        self._leases = {name: at for name, at in self._leases.items() if name in in_hand or at > now}
        await self._find_out()
        await self._put_off({name: at for name, at in self._leases.items() if name in in_hand})

    def leave(self, name: str) -> None:
        """Stop renewing a message whose attempt ended but could not be noted: it is due when its lease is over."""
        self._leases.pop(name, None)

    async def forget(self, names: Iterable[str], *, saga_id: str = "") -> None:
        """Forget messages that another consumer settled, of this saga if it is known."""
        batch = []
        for name in names:
            tx = self._transaction(saga_id)
            self.settled(tx, name)
            batch.append(tx)
        if batch:
            await self._transactor.commit(batch)

    def _note(self, tx: Transaction, name: str, attempts: int, next_ms: int, why: str) -> None:
        tx.set(ATTEMPTS, {name: attempts})
        tx.schedule(RETRIES, name, next_ms)
        tx.set(failing(tx.saga_id), {name: why})
        tx.expire(failing(tx.saga_id), self._retention)

    def _has_put_off(self, name: str, at: int) -> bool:
        return at in (self._leases.get(name), self._unanswered.get(name))

    async def _find_out(self) -> None:
        """Find out which unanswered renewals the server applied; those leases are ours to renew."""
        asked = {name: at for name, at in self._unanswered.items() if name in self._leases}
        if asked:
            scores = await self._scores(list(asked))
            self._leases |= {name: at for name, at in asked.items() if scores[name] == at}
        self._unanswered = {name: at for name, at in self._unanswered.items() if name not in asked}

    async def _put_off(self, waiting: Mapping[str, int]) -> list[str]:
        """Lease messages until one lease from now; return those whose instant was still the given one.

        For the others an attempt has ended meanwhile, here or elsewhere, and the instant it noted must stand.
        """
        if not waiting:
            return []
        until = self._clock.now_ms() + self._lease // _MS
        batch = []
        for name, at in waiting.items():
            tx = self._transaction()
            tx.schedule(RETRIES, name, until, instead_of=at)
            batch.append(tx)
        try:
            outcomes = (await self._transactor.commit(batch)).outcomes
        except ServerUnavailable:
            self._unanswered |= dict.fromkeys(waiting, until)
            raise
        ours = [name for name, outcome in zip(waiting, outcomes, strict=True) if outcome.is_ok]
        for name in waiting:
            self._leases.pop(name, None)
        self._leases |= dict.fromkeys(ours, until)
        return ours

    async def _scores(self, names: Sequence[str]) -> dict[str, int | None]:
        """Return the instant noted for each of these messages, None where there is none."""
        reply = await self._reader.command("ZMSCORE", self._reader.keys.key(RETRIES), *names)
        return dict(zip(names, scores(reply), strict=True))

    def _transaction(self, saga_id: str = "") -> Transaction:
        return Transaction(self._reader, saga_id=saga_id, key="", now_ms=self._clock.now_ms())
