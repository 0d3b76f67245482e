"""Messages the coordinator cannot handle: dead-lettered for a person, or parked until a coordinator knows their table.

While a new version of a table is rolled out, an old coordinator reads events that only a new one can judge. It parks
them whole and goes on; a new one takes them from there. Speaks Redis; judges nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from sagastream import keys as names
from sagastream.bus import Bus
from sagastream.dead_letters import put_away
from sagastream.envelope import flattened
from sagastream.intake import Message
from sagastream.keys import Keys
from sagastream.reader import Reader
from sagastream.replies import entries
from sagastream.saga.definition import Saga
from sagastream.transaction import Transaction, Transactor

log = structlog.get_logger(__name__)

_TABLE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Parked:
    """A message that waits for its table: where it is parked, and the message itself."""

    stream: str
    entry: str
    message: Message


class Aside:
    """The dead letters and parked messages of the coordinators; ``sagas`` are the tables known here."""

    def __init__(self, sagas: Sequence[Saga], bus: Bus, keys: Keys, reader: Reader, transactor: Transactor) -> None:
        self.streams = tuple(keys.key(names.parked(saga.name, str(saga.version))) for saga in sagas)
        self._bus = bus
        self._reader = reader
        self._transactor = transactor

    async def bury(self, message: Message, why: str) -> bool:
        """Dead-letter a whole message; return False if that is refused."""
        tx = self._transaction()
        put_away(tx, message, reason=why, attempts=1)
        (outcome,) = (await self._transactor.commit([tx])).outcomes
        if not outcome.is_ok:
            log.error("event.stuck", stream=message.stream, id=message.id, error=outcome.detail)
        return outcome.is_ok

    async def park(self, message: Message, table: str, version: str) -> bool:
        """Park a message for a coordinator that knows this table; return False if no table can ever have that name."""
        if not _TABLE.fullmatch(table) or not _VERSION.fullmatch(version):
            return False
        whole = json.dumps({"stream": message.stream, "id": message.id, "fields": message.fields})
        tx = self._transaction()
        tx.append(names.parked(table, version), ["message", whole])
        tx.set(names.PARKED, {f"{table}:{version}": message.at_ms})
        return (await self._transactor.commit([tx])).outcomes[0].is_ok

    async def parked(self) -> list[Parked]:
        """Return messages that wait for one of the tables known here; not all of them at once."""
        found: list[Parked] = []
        replies = await self._bus.query.pipeline(
            [("XRANGE", stream, "-", "+", "COUNT", AT_ONCE) for stream in self.streams]
        )
        for stream, reply in zip(self.streams, replies, strict=True):
            found += (_parked(stream, entry, fields) for entry, fields in entries(reply))
        return found

    async def taken(self, parked: Sequence[Parked]) -> None:
        """Delete parked messages that are stored by now; if this is lost they are handled again, without effect."""
        await self._bus.writer.pipeline([("XDEL", one.stream, one.entry) for one in parked])

    def _transaction(self) -> Transaction:
        return Transaction(self._reader, saga_id="", key="", now_ms=0)


def _parked(stream: str, entry: str, fields: Mapping[str, str]) -> Parked:
    whole = json.loads(fields["message"])
    return Parked(stream, entry, Message(whole["stream"], whole["id"], flattened(whole["fields"])))
