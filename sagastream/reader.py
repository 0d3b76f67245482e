"""Read an owner's state, coalesced: all reads requested in one turn of the loop are sent as one pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, cast

from sagastream.bus import Command, Connection, Reply
from sagastream.coalescer import Coalescer
from sagastream.envelope import pairs
from sagastream.errors import ReplyError
from sagastream.keys import Keys
from sagastream.replies import listed, sound, texts, values
from sagastream.script import packaged

_AT_ONCE = 500


class Reads(Protocol):
    """An object that reads whole hashes: a transaction, or a reader outside one. Promises no common instant."""

    async def read_all(self, key: str) -> dict[str, str]:
        """Return all fields of a hash, none if it is absent."""
        ...

    async def read_all_each(self, keys: Sequence[str]) -> list[dict[str, str]]:
        """Return all fields of several hashes, in the order of their keys, read at once."""
        ...


class Reader:
    """Reads keys by their name under one owner's root.

    Handlers of one batch run together, so their reads do too. Nothing is cached.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self.keys = keys
        self._commands: Coalescer[Command, Reply] = Coalescer(connection.pipeline, limit=_AT_ONCE)
        self._connection = connection

    async def read(self, key: str, *fields: str) -> list[str | None]:
        """Return fields of a hash, None for each that is absent."""
        return values(await self.command("HMGET", self.keys.key(key), *fields))

    async def read_each(self, keys: Iterable[str], *fields: str) -> list[list[str | None] | ReplyError]:
        """Return the same fields of several hashes, an error for each key that is no hash; no task or wait per key."""
        commands = [("HMGET", self.keys.key(key), *fields) for key in keys]
        found: list[list[str | None] | ReplyError] = []
        for at in range(0, len(commands), _AT_ONCE):
            for reply in await self._connection.pipeline(commands[at : at + _AT_ONCE]):
                # A hash holds texts only, so the values are not checked one by one.
                found.append(reply if isinstance(reply, ReplyError) else cast("list[str | None]", reply))
        return found

    async def read_at_once(self, keys: Sequence[str], *fields: str) -> list[list[str | None] | ReplyError]:
        """Return what ``read_each`` does, in one reply: faster for the client, slightly costlier for the server."""
        found: list[list[str | None] | ReplyError] = []
        for at in range(0, len(keys), _AT_ONCE):
            arguments: list[str | int] = [len(fields), *fields, *keys[at : at + _AT_ONCE]]
            for reply in listed(await packaged("reading.lua").run(self._connection, [self.keys.root], *arguments)):
                if isinstance(reply, list):
                    found.append([str(value) if value is not None else None for value in reply])
                else:
                    code, _, message = str(reply).partition(" ")
                    found.append(ReplyError(code, message))
        return found

    async def read_all(self, key: str) -> dict[str, str]:
        """Return a whole hash, empty if there is none."""
        return _hash(await self.command("HGETALL", self.keys.key(key)))

    async def read_all_each(self, keys: Iterable[str]) -> list[dict[str, str]]:
        """Return several whole hashes, read at once, in the order of their keys; empty for each that is absent."""
        replies = await self._commands.ask_each(("HGETALL", self.keys.key(key)) for key in keys)
        return [_hash(reply) for reply in replies]

    async def members(self, key: str, *, start: int = 0, count: int = 50, newest_first: bool = True) -> list[str]:
        """Return members of a sorted set by rank."""
        order = ("REV",) if newest_first else ()
        reply = await self.command("ZRANGE", self.keys.key(key), start, start + count - 1, *order)
        return texts(reply)

    async def commands(self, commands: Sequence[Command]) -> list[Reply]:
        """Send several read commands as one pipeline of their own; return their replies.

        Raises: ``ReplyError`` if one of them is refused.
        """
        replies = await self._connection.pipeline(commands)
        return [sound(reply) for reply in replies]

    async def command(self, *command: str | int) -> Reply:
        """Send one read command together with the others of this turn of the loop; return its reply."""
        return await self._commands.ask(command)


def _hash(reply: Reply) -> dict[str, str]:
    return pairs(cast("list[str]", listed(reply)))  # a hash holds texts only
