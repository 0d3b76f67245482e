"""Which messages wait for another attempt, and how many they had. Kept in Redis, so that a crash forgets nothing.

A message that waits stays pending in its group; only its name and the instant are kept here. Attempts
are our own count, raised by failing handlers alone: the server's delivery count also rises with its own trouble.
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

OFTEN = 5  # taken up without an end, by a process that ended or lost its server: with others a message may be innocent
_AT_ONCE = 50
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a message stands: failed attempts so far, and whether it waits for its next instant."""

    attempts: int
    is_waiting: bool


class Retries:
    """The waiting room of one participant.

    ``lease`` is how long nobody else makes an attempt that was taken in hand, unless that is said again meanwhile;
    ``retention`` how long it is kept why a message failed of which nothing is heard any more.
    """

    def __init__(
        self, reader: Reader, transactor: Transactor, clock: ServerClock, *, lease: timedelta, retention: timedelta
    ) -> None:
        self._reader = reader
        self._transactor = transactor
        self._clock = clock
        self._lease = lease
        self._retention = retention
        self._leases: dict[str, int] = {}  # message → until when it is ours
        self._unanswered: dict[str, int] = {}  # message → until when it is ours if the server heard of it

    async def standings(self, names: list[str]) -> dict[str, Standing]:
        """Return how each of these messages stands."""
        if not names:
            return {}
        attempts = await self._reader.read(ATTEMPTS, *names)
        due = await self._scores(names)
        return {
            name: Standing(int(count or 0), due[name] is not None) for name, count in zip(names, attempts, strict=True)
        }

    def failed(self, tx: Transaction, name: str, attempts: int, wait: timedelta, *, handler: str, why: str) -> None:
        """Note a failed attempt of the transaction's saga, what failed and why, and the instant of the next."""
        self._note(tx, name, attempts, self._clock.now_ms() + wait // _MS, f"{handler}\n{why}")

    def foreseen(self, tx: Transaction, name: str, attempts: int, *, handler: str, why: str, chance: float) -> None:
        """Note an attempt as failed before it is made; it is ours, as one that was due, for one lease to two.

        What ended together with it, because it was in the same process, is not to be due together with it again.
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
        """Return messages whose instant has come, ours now, not all at once, and how long until there are more.

        They are put off by a lease, never taken out: a crash between here and their commit must not lose them. Idle
        workers wake for the same instant; each message is taken by the first that puts it off. One that is put off by
        us and is not in hand has been in vain, for the server was in trouble meanwhile: it is due at once.
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
        """Say that what was taken here and is in hand is still ours."""
        now = self._clock.now_ms()
        # What was taken a moment ago is not yet in hand.
        self._leases = {name: at for name, at in self._leases.items() if name in in_hand or at > now}
        await self._find_out()
        await self._put_off({name: at for name, at in self._leases.items() if name in in_hand})

    def leave(self, name: str) -> None:
        """Leave a message whose attempt has ended and could not be noted: it is due when its lease is over."""
        self._leases.pop(name, None)

    async def forget(self, names: Iterable[str], *, saga_id: str = "") -> None:
        """Forget messages that somebody else settled, of this saga if it is known."""
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
        """Find out which renewals that were not answered the server has made: what it says now is ours to renew."""
        asked = {name: at for name, at in self._unanswered.items() if name in self._leases}
        if asked:
            scores = await self._scores(list(asked))
            self._leases |= {name: at for name, at in asked.items() if scores[name] == at}
        self._unanswered = {name: at for name, at in self._unanswered.items() if name not in asked}

    async def _put_off(self, waiting: Mapping[str, int]) -> list[str]:
        """Take or keep messages until a lease from now; return those whose instant was still the one given.

        Of the others an attempt has ended meanwhile, here or elsewhere: what it noted must stand.
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
        """Return the instant that is noted for each of these messages, None where there is none."""
        reply = await self._reader.command("ZMSCORE", self._reader.keys.key(RETRIES), *names)
        return dict(zip(names, scores(reply), strict=True))

    def _transaction(self, saga_id: str = "") -> Transaction:
        return Transaction(self._reader, saga_id=saga_id, key="", now_ms=self._clock.now_ms())
