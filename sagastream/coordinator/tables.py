"""Which shape of each table sagas have followed since when, to detect a change without a new version. Judges nothing.

Shape: hash ``tables`` under the coordinators' root, field ``table:version``, value JSON: a list of ``[since when (epoch
ms, server time), saga.shape]``, the oldest first; one is added whenever a coordinator starts with another shape.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from sagastream import keys as names
from sagastream.bus import Bus, Command, Connection
from sagastream.clock import server_ms
from sagastream.coordinator.fleet import UNFINISHED
from sagastream.errors import ReplyError, ServerUnavailable, Undecodable
from sagastream.keys import TABLES, Keys
from sagastream.reader import Reader
from sagastream.replies import named, sound, texts
from sagastream.saga.definition import Saga
from sagastream.saga.shape import difference, shape
from sagastream.transaction import OutcomeKind, Transaction, Transactor

log = structlog.get_logger(__name__)

KEPT = 50  # shapes of one table and version; with more changes than that, no saga of the first ones is left
COUNTED = 1_000  # sagas examined per status


@dataclass(frozen=True, slots=True)
class Period:
    """A period, from ``since_ms`` (epoch ms, server time) on, in which coordinators used a table of this shape."""

    since_ms: int
    shape: tuple[str, ...]


class Tables:
    """The tables one coordinator announces, and whether all others use the same."""

    def __init__(self, sagas: Sequence[Saga], bus: Bus, reader: Reader, transactor: Transactor) -> None:
        self._mine = {field(saga): shape(saga) for saga in sagas}
        self._bus = bus
        self._reader = reader
        self._transactor = transactor
        self._told: dict[str, tuple[str, ...]] = {}  # the stored shape of each, as last seen here
        self.difference: str | None = None
        """How the tables of other coordinators differ from those known here, None if they do not."""

    async def tell_safely(self) -> None:
        """Announce once which tables sagas follow from now on, then check that it stays so; skip it in server trouble.

        If two coordinators use different tables of one version, the later one is stored and the other reports that it
        differs: neither knows which of them is meant.
        """
        try:
            await self._tell()
        except (ServerUnavailable, ReplyError, Undecodable) as error:
            log.warning("tables.not_told", error=str(error))

    async def _tell(self) -> None:
        stored = dict(zip(self._mine, await self._reader.read(TABLES, *self._mine), strict=True))
        now_ms = await server_ms(self._bus.query)
        differing = []
        for name, mine in self._mine.items():
            periods = _periods(name, stored[name])
            latest = periods[-1].shape if periods else ()
            if latest == mine:
                self._told[name] = mine
            elif name not in self._told:
                await self._add(name, stored[name], (*periods, Period(now_ms, mine)))
            else:
                differing.append(f"{name}: other coordinators use one {difference(mine, latest)}")
                if self._told[name] != latest:
                    self._told[name] = latest
                    log.error("table.differs", table=name, others=difference(mine, latest))
        self.difference = "; ".join(differing) or None

    async def _add(self, name: str, stored: str | None, periods: Sequence[Period]) -> None:
        tx = Transaction(self._reader, saga_id="", key="", now_ms=0)
        tx.expect(TABLES, name, stored)
        tx.set(TABLES, {name: json.dumps([[each.since_ms, each.shape] for each in periods[-KEPT:]])})
        outcome = (await self._transactor.commit([tx])).outcomes[0]
        if outcome.is_ok:
            self._told[name] = periods[-1].shape
            if len(periods) > 1:
                log.error("table.changed", table=name, now=difference(periods[-2].shape, periods[-1].shape))
        elif outcome.kind is not OutcomeKind.REFUSED:  # otherwise another coordinator announced it first: look again
            log.error("tables.not_told", table=name, error=f"{outcome.kind}: {outcome.detail}")


def field(saga: Saga) -> str:
    """Return the name of a table and its version in the hash."""
    return f"{saga.name}:{saga.version}"


async def read_tables(connection: Connection, keys: Keys) -> dict[str, tuple[Period, ...]]:
    """Return the shapes that coordinators have used, for each table and version."""
    stored = named(await connection.execute("HGETALL", keys.key(TABLES)))
    return {name: _periods(name, value) for name, value in stored.items()}


async def read_begun_by_another(connection: Connection, keys: Keys, saga: Saga, periods: Sequence[Period]) -> int:
    """Return how many unfinished sagas began when this table had another shape; of very many, only part is counted."""
    commands: list[Command] = []
    for at, period in enumerate(periods[:-1]):
        if period.shape != periods[-1].shape:
            first, after = period.since_ms if at else "-inf", f"({periods[at + 1].since_ms}"
            for status in UNFINISHED:
                index = keys.key(names.index("status", status, saga.name))
                commands.append(("ZRANGE", index, first, after, "BYSCORE", "LIMIT", 0, COUNTED))
    found = [id for reply in await connection.pipeline(commands) for id in texts(sound(reply))]
    versions = await connection.pipeline([("HGET", keys.key(names.record(id)), "definition_version") for id in found])
    return sum(version == str(saga.version) for version in versions)


def _periods(name: str, stored: str | None) -> tuple[Period, ...]:
    try:
        told = json.loads(stored) if stored else ()
        return tuple(Period(int(since_ms), tuple(map(str, lines))) for since_ms, lines in told)
    except (ValueError, TypeError) as error:
        raise Undecodable(f"{name!r} in {TABLES!r} is not what coordinators write there: {error}") from None
