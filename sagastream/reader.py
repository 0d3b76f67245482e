"""Reads of an owner's state, coalesced: what is asked for in one turn of the loop goes out as one pipeline."""

from __future__ import annotations

from collections.abc import Iterable

from sagastream.bus import Command, Connection, Reply
from sagastream.coalescer import Coalescer
from sagastream.envelope import pairs
from sagastream.errors import ReplyError
from sagastream.keys import Keys

_AT_ONCE = 500


class Reader:
    """Reads keys by their name under one owner's root.

    Handlers of one batch run together; so do their reads. Nothing is cached.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self.keys = keys
        self._commands: Coalescer[Command, Reply] = Coalescer(connection.pipeline, limit=_AT_ONCE)
        self._connection = connection

    async def read(self, key: str, *fields: str) -> list[str | None]:
        """Return fields of a hash, None for each that is absent."""
        reply = await self.command("HMGET", self.keys.key(key), *fields)
        return [str(value) if value is not None else None for value in _listed(reply)]

    async def read_each(self, keys: Iterable[str], *fields: str) -> list[list[str | None] | ReplyError]:
        """Return the same fields of several hashes, the refusal for each that is none; no task and no wait for each."""
        commands = [("HMGET", self.keys.key(key), *fields) for key in keys]
        found: list[list[str | None] | ReplyError] = []
        for at in range(0, len(commands), _AT_ONCE):
            for reply in await self._connection.pipeline(commands[at : at + _AT_ONCE]):
                if isinstance(reply, ReplyError):
                    found.append(reply)
                else:
                    found.append([str(value) if value is not None else None for value in _listed(reply)])
        return found

    async def read_all(self, key: str) -> dict[str, str]:
        """Return a whole hash, empty if there is none."""
        return pairs([str(value) for value in _listed(await self.command("HGETALL", self.keys.key(key)))])

    async def members(self, key: str, *, start: int = 0, count: int = 50, newest_first: bool = True) -> list[str]:
        """Return members of a sorted set by rank."""
        order = ("REV",) if newest_first else ()
        reply = await self.command("ZRANGE", self.keys.key(key), start, start + count - 1, *order)
        return [str(member) for member in _listed(reply)]

    async def command(self, *command: str | int) -> Reply:
        """Send one reading command together with the others of this turn."""
        return await self._commands.ask(command)


def _listed(reply: Reply) -> list[Reply]:
    return reply if isinstance(reply, list) else []
