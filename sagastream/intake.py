"""Read what a consumer group must handle: own pending entries, then new ones, then those of silent consumers.

Speaks Redis; knows neither handlers nor sagas. If a reply is lost, its entries are in this consumer's own pending list,
and ``>`` never returns them again. So that list is read to its end at every start and after every read error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple, cast

import structlog

from sagastream.bus import Argument, Bus, Command, Reply
from sagastream.envelope import pairs
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.keys import GROUPS, Keys
from sagastream.replies import listed, named, texts
from sagastream.store import StoreMark

log = structlog.get_logger(__name__)

_OWN_AT_ONCE = 500  # of each stream


class Message(NamedTuple):
    """One stream entry as delivered; it has no fields if it was trimmed while pending.

    ``flat`` holds names and values in turn, as the server sent them: at thousands a second, reading values by position
    avoids building a dict for each message.
    """

    stream: str
    id: str
    flat: Sequence[str]

    @property
    def fields(self) -> dict[str, str]:
        """Return the value of each field."""
        return pairs(self.flat)

    @property
    def name(self) -> str:
        """Return the name that identifies the message across all streams."""
        return f"{self.stream}|{self.id}"

    @property
    def at_ms(self) -> int:
        """Return when the server stored the message (epoch ms)."""
        return int(self.id.partition("-")[0])


class Intake:
    """One consumer of one group over several streams.

    ``begins_at`` is the position at which a group that never existed is created; a group that was lost is created again
    at ``0``. ``on_trimmed`` is called with the number of entries found to be lost.
    """

    def __init__(
        self,
        bus: Bus,
        keys: Keys,
        streams: Sequence[str],
        *,
        consumer: str,
        begins_at: str = "0",
        size: int = 200,
        store: str | None = None,
        on_trimmed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.streams = tuple(streams)
        self.group = keys.owner
        self.consumer = consumer
        self._bus = bus
        self._registry = keys.key(GROUPS)
        self._begins_at = begins_at
        self._size = size
        self._count = max(1, -(-size // max(1, len(streams))))  # COUNT is per stream
        self._held: list[Message] = []
        self._settled: list[Message] = []
        self._claims_from = dict.fromkeys(self.streams, "0-0")
        self._store = StoreMark(bus, keys, name=store)
        self._on_trimmed = on_trimmed
        self._trimmed: set[str] = set()

    async def check(self) -> None:
        """Check that the store is the right one, before anything else is done there.

        Raises: ``WrongStore``.
        """
        await self._store.check()

    async def open(self) -> None:
        """Make sure that the group exists on every stream."""
        registered = set(texts(await self._bus.query.execute("HGETALL", self._registry))[::2])
        missing = await self._missing()
        positions = {stream: "0" if stream in registered else self._begins_at for stream in missing}
        replies = await self._bus.writer.pipeline(
            [("XGROUP", "CREATE", stream, self.group, at, "MKSTREAM") for stream, at in positions.items()]
        )
        for stream, reply in zip(positions, replies, strict=True):
            if not isinstance(reply, ReplyError):
                if stream in registered:
                    log.warning("group.recreated", group=self.group, stream=stream)
            elif reply.code != "BUSYGROUP":
                raise reply
        fresh = [stream for stream in self.streams if stream not in registered]
        if fresh:
            told = [part for stream in fresh for part in (stream, self._begins_at)]
            await self._bus.writer.execute("HSET", self._registry, *told)

    async def _missing(self) -> list[str]:
        """Return the streams on which the group does not exist.

        A server out of memory refuses ``XGROUP CREATE`` even for a group that exists, so create only missing ones.
        """
        replies = await self._bus.query.pipeline([("XINFO", "GROUPS", stream) for stream in self.streams])
        return [stream for stream, reply in zip(self.streams, replies, strict=True) if self.group not in _groups(reply)]

    async def new(self, block: timedelta) -> list[Message]:
        """Acknowledge settled messages and return new entries; wait for them at most as long as ``block``."""
        if not self._held:
            command: list[Argument] = ["XREADGROUP", "GROUP", self.group, self.consumer, "COUNT", self._count,
                       "BLOCK", max(1, block // timedelta(milliseconds=1)), "STREAMS", *self.streams]  # fmt: skip
            command += [">"] * len(self.streams)
            settled, self._settled = self._settled, []
            try:
                *_, reply = await self._bus.reader.pipeline([*self._acknowledging(settled), command])
            except ServerUnavailable:
                self._settled += settled  # may not have been acknowledged
                raise
            if isinstance(reply, ReplyError):
                raise reply
            self._held = _messages(reply)
            # Most streams are idle most of the time; those that just had entries share the size of a round.
            self._count = max(1, -(-self._size // max(1, len(reply) if isinstance(reply, list) else 1)))
        now, self._held = self._held[: self._size], self._held[self._size :]
        return now

    async def own(self) -> list[Message]:
        """Return everything delivered to this consumer and never acknowledged."""
        self._held = []  # its messages are pending, and so among those returned
        if not await self._store.is_as_it_was():
            self._settled = []  # pending too: another store may have them without the commits that settled them
        await self.flush()
        found: list[Message] = []
        positions = dict.fromkeys(self.streams, "0")
        while positions:
            reply = await self._bus.reader.execute(
                "XREADGROUP", "GROUP", self.group, self.consumer, "COUNT", _OWN_AT_ONCE, "STREAMS",
                *positions, *positions.values(),
            )  # fmt: skip
            messages = _messages(reply)
            found += messages
            positions = {message.stream: message.id for message in messages}
        return await self._without_trimmed(found)

    async def claimed(self, idle: timedelta) -> list[Message]:
        """Claim and return entries that another consumer has left unacknowledged for ``idle``."""
        found: list[Message] = []
        idle_ms = idle // timedelta(milliseconds=1)
        replies = await self._bus.writer.pipeline([
            ("XAUTOCLAIM", stream, self.group, self.consumer, idle_ms, position, "COUNT", self._count)
            for stream, position in self._claims_from.items()
        ])  # fmt: skip
        refused: ReplyError | None = None
        for stream, reply in zip(self.streams, replies, strict=True):
            if not isinstance(reply, list):
                refused = reply if isinstance(reply, ReplyError) else refused
                continue
            self._claims_from[stream] = str(reply[0])
            found += _entries(stream, reply[1])
            if reply[2]:
                log.error("entries.trimmed_while_pending", stream=stream, group=self.group, entries=reply[2])
                self._on_trimmed(len(cast("list[Reply]", reply[2])))
        if refused is not None:
            raise refused  # entries claimed from other streams are found by ``own`` after the restart
        return found

    async def again(self, name: str) -> Message | None:
        """Claim and return one pending entry by its name; None if it has been acknowledged, or is gone."""
        stream, _, entry = name.partition("|")
        try:
            reply = await self._bus.writer.execute("XCLAIM", stream, self.group, self.consumer, 0, entry)
        except ReplyError as error:
            if error.code != "NOGROUP":
                raise
            reply = None  # a removed stream, no longer read; it must not block the others
        found = next(iter(_entries(stream, reply)), None)
        if found is None and not await self.told(name):
            log.error("entries.trimmed_while_pending", group=self.group, entries=[name])
            self._on_trimmed(1)
        return found

    async def told(self, name: str) -> dict[str, str]:
        """Return the fields of an entry by its name, whichever consumer it belongs to; none if it is gone."""
        stream, _, entry = name.partition("|")
        found = _entries(stream, await self._bus.query.execute("XRANGE", stream, entry, entry))
        return found[0].fields if found else {}

    async def renew(self, messages: Sequence[Message]) -> None:
        """Renew our claim on messages being processed here, and on those read but not yet handed over.

        A message acknowledged meanwhile stays acknowledged. A message that another consumer claimed because we were
        silent for long becomes ours again while both process it: the ledger keeps one outcome, and either consumer's
        acknowledgement counts for both.

        Raises: ``ReplyError`` if the server refuses.
        """
        by_stream = _by_stream([*messages, *self._held])
        replies = await self._bus.writer.pipeline([
            ("XCLAIM", stream, self.group, self.consumer, 0, *ids, "JUSTID")  # JUSTID: does not count as a delivery
            for stream, ids in by_stream.items()
        ])  # fmt: skip
        gone: list[tuple[str, str]] = []
        for (stream, ids), reply in zip(by_stream.items(), replies, strict=True):
            if isinstance(reply, ReplyError):
                raise reply
            renewed = set(texts(reply))
            gone += [(stream, id_) for id_ in ids if id_ not in renewed]
        await self._tell_trimmed(gone)

    async def _tell_trimmed(self, gone: Sequence[tuple[str, str]]) -> None:
        """Report messages no longer pending whose entries are trimmed; the entry of a settled one is still there."""
        replies = await self._bus.query.pipeline([("XRANGE", stream, id_, id_) for stream, id_ in gone])
        names = {f"{stream}|{id_}" for (stream, id_), reply in zip(gone, replies, strict=True) if reply == []}
        lost, self._trimmed = sorted(names - self._trimmed), names
        if lost:
            log.error("entries.trimmed_while_pending", group=self.group, entries=lost)
            self._on_trimmed(len(lost))

    def settled(self, messages: Sequence[Message]) -> None:
        """Note that these are settled; the next read also acknowledges them, which saves a round trip.

        If that acknowledgement is lost they are redelivered, and the ledger recognises them.
        """
        self._settled += messages

    async def flush(self) -> None:
        """Acknowledge settled messages now, as there may be no next read; if that fails, they are redelivered."""
        settled, self._settled = self._settled, []
        with suppress(ServerUnavailable):
            await self.acknowledge(settled)

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """Acknowledge these at once."""
        if messages:
            await self._bus.writer.pipeline(self._acknowledging(messages))

    def _acknowledging(self, messages: Sequence[Message]) -> list[Command]:
        return [("XACK", stream, self.group, *ids) for stream, ids in _by_stream(messages).items()]

    async def _without_trimmed(self, found: list[Message]) -> list[Message]:
        lost = [message for message in found if not message.flat]
        if lost:
            log.error("entries.trimmed_while_pending", group=self.group, entries=[m.name for m in lost])
            self._on_trimmed(len(lost))
            await self.acknowledge(lost)
        return [message for message in found if message.flat]


def _by_stream(messages: Sequence[Message]) -> dict[str, list[str]]:
    by_stream: dict[str, list[str]] = {}
    for message in messages:
        by_stream.setdefault(message.stream, []).append(message.id)
    return by_stream


def _messages(reply: Reply) -> list[Message]:
    found: list[Message] = []
    for part in listed(reply):
        if isinstance(part, list):
            found += _entries(str(part[0]), part[1])
    return found


def _entries(stream: str, reply: Reply) -> list[Message]:
    # Entries come by the hundred, so the types of their strings are not checked one by one.
    return [
        Message(stream, str(entry[0]), cast("list[str]", entry[1] or []))
        for entry in cast("list[list[Reply]]", reply or [])
    ]


def _groups(reply: Reply | ReplyError) -> set[str]:
    return {named(group)["name"] for group in listed(reply)}
