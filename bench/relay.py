"""A relay between clients and the server that forwards every byte and records every command."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit

import hiredis

_PIECE = 1 << 18


@dataclass(slots=True)
class Exchange:
    """One command of one client (``link``) and its reply; ``at`` orders all commands of a recording."""

    link: int
    command: list[bytes]
    at: int
    reply: object = None
    is_answered: bool = False

    @property
    def name(self) -> str:
        """Return the command's name."""
        return self.command[0].decode().upper()


@dataclass(slots=True)
class Recording:
    """Everything a relay has forwarded so far."""

    exchanges: list[Exchange] = field(default_factory=list)
    positions: count[int] = field(default_factory=count)
    links: dict[str, int] = field(default_factory=dict)

    def link(self, client: str) -> int:
        """Return the number of a client; all connections of one name share it: their commands have one order."""
        return self.links.setdefault(client, len(self.links))

    def in_order(self) -> list[Exchange]:
        """Return all answered exchanges: commands in the order sent, reads in the order of their replies.

        A blocking read is answered by what others write after it was sent.
        """
        return sorted((each for each in self.exchanges if each.is_answered), key=lambda each: each.at)


@asynccontextmanager
async def relayed(url: str) -> AsyncIterator[tuple[str, Recording]]:
    """Listen on the loopback address in front of a server; yield the URL to use and the recording."""
    server = urlsplit(url)
    recording = Recording()
    unnamed = count()
    ways: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_in, there_out = await asyncio.open_connection(server.hostname, server.port)
        link = _Link(recording.link(f"unnamed {next(unnamed)}"), recording)
        for way in (_pass_on(reader, there_out, link.asked), _pass_on(there_in, writer, link.answered)):
            task = asyncio.create_task(way)
            ways.add(task)
            task.add_done_callback(ways.discard)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = listening.sockets[0].getsockname()[1]
        yield f"redis://127.0.0.1:{port}{server.path}", recording
    finally:
        listening.close()
        for task in list(ways):
            task.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


class _Link:
    """One connection: commands queue for their replies."""

    def __init__(self, number: int, recording: Recording) -> None:
        self._number = number
        self._recording = recording
        self._waiting: deque[Exchange] = deque()
        self._commands = hiredis.Reader()
        self._replies = hiredis.Reader()

    def asked(self, piece: bytes) -> None:
        """Record the commands in a piece of data."""
        self._commands.feed(piece)
        while (command := self._commands.gets()) is not False:
            if [word.upper() for word in command[:2]] == [b"CLIENT", b"SETNAME"]:
                self._number = self._recording.link(command[2].decode())
            exchange = Exchange(self._number, command, next(self._recording.positions))
            self._waiting.append(exchange)
            self._recording.exchanges.append(exchange)

    def answered(self, piece: bytes) -> None:
        """Record the replies in a piece of data."""
        self._replies.feed(piece)
        while (reply := self._replies.gets()) is not False:
            exchange = self._waiting.popleft()
            exchange.reply, exchange.is_answered = reply, True
            if exchange.name == "XREADGROUP":
                exchange.at = next(self._recording.positions)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], None]) -> None:
    try:
        while piece := await reader.read(_PIECE):
            note(piece)
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass  # a closed connection: the other side learns of it by the end of its own
    finally:
        writer.close()
