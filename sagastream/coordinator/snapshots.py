"""Snapshots of the counters at past instants, so that later figures can be compared. Adds no work to an event.

Any number of coordinators take them: the first in a period stores its snapshot, the others are refused.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from sagastream import keys as names
from sagastream.bus import Connection, Reply
from sagastream.clock import server_ms
from sagastream.coordinator.counts import Counts
from sagastream.envelope import pairs
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.keys import COUNTS, Keys
from sagastream.reader import Reader
from sagastream.replies import entries, sound, taken_ms
from sagastream.ticker import Ticker, every
from sagastream.transaction import OutcomeKind, Transaction, Transactor

log = structlog.get_logger(__name__)

PERIOD = timedelta(seconds=2)  # how often to check whether a snapshot is due


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a snapshot is taken, and how long it is kept."""

    name: str
    every: timedelta
    life: timedelta


PACES = (
    Pace("minute", timedelta(minutes=1), timedelta(hours=3)),
    Pace("ten-minutes", timedelta(minutes=10), timedelta(hours=26)),
    Pace("hour", timedelta(hours=1), timedelta(days=31)),
)
"""The longer ago, the coarser. While coordinators run, a window of up to three hours is exact to the minute, up to a
day to ten minutes, beyond that to the hour. It is never shorter than asked, unless nothing older is known."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The counters at one instant (epoch ms, server time)."""

    at_ms: int
    counts: Counts


class Snapshots:
    """Takes the snapshots for one coordinator."""

    def __init__(self, connection: Connection, reader: Reader, transactor: Transactor, ticker: Ticker = every) -> None:
        self._connection = connection
        self._reader = reader
        self._transactor = transactor
        self._ticker = ticker
        self._taken: dict[Pace, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Take snapshots until ``stop`` is set."""
        await self._ticker(PERIOD, self.take_safely, stop)

    async def take_safely(self) -> None:
        """Take what is due; while the server is in trouble, leave it to the next time."""
        try:
            await self.take()
        except (ServerUnavailable, ReplyError):
            return  # readers are shown the true instants of what exists

    async def take(self) -> None:
        """Take a snapshot at every pace whose period has none yet."""
        now_ms = await server_ms(self._connection)
        begun = {pace: now_ms - now_ms % _ms(pace.every) for pace in PACES}
        due = {pace: since_ms for pace, since_ms in begun.items() if self._taken.get(pace) != since_ms}
        if due:
            receipt = await self._transactor.commit([self._kept(pace, since_ms) for pace, since_ms in due.items()])
            for outcome in receipt.outcomes:
                if outcome.kind not in (OutcomeKind.OK, OutcomeKind.REFUSED):
                    log.error("snapshot.cannot_be_taken", error=f"{outcome.kind}: {outcome.detail}")
            self._taken |= due  # by this coordinator, or by another before it

    def _kept(self, pace: Pace, since_ms: int) -> Transaction:
        tx = Transaction(self._reader, saga_id="", key="", now_ms=0)
        tx.keep(COUNTS, names.snapshots(pace.name), since_ms=since_ms, life=pace.life)
        return tx


async def snapshot_before(connection: Connection, keys: Keys, at_ms: int) -> Snapshot | None:
    """Return the latest snapshot at or before an instant, otherwise the oldest; None if there is none at all."""
    streams = [keys.key(names.snapshots(pace.name)) for pace in PACES]
    before = [("XREVRANGE", stream, at_ms, "-", "COUNT", 1) for stream in streams]
    oldest = [("XRANGE", stream, "-", "+", "COUNT", 1) for stream in streams]
    found = [_snapshot(reply) for reply in await connection.pipeline([*before, *oldest])]
    latest = [one for one in found[: len(streams)] if one is not None]
    if latest:
        return max(latest, key=_instant)
    return min((one for one in found if one is not None), key=_instant, default=None)


def _instant(snapshot: Snapshot) -> int:
    return snapshot.at_ms


def _snapshot(reply: Reply | ReplyError) -> Snapshot | None:
    for entry_id, fields in entries(sound(reply)):
        stored = fields["hash"]
        counters = pairs(stored.split("\n")) if stored else {}
        return Snapshot(taken_ms(entry_id), Counts.of(counters))
    return None


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
