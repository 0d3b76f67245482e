"""A wire between the workers and their server on which one can act in the instant a command or its reply passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self

CHUNK = 1 << 18


class Trap:
    """Waits for one command of one client, by the client's name and words of the command.

    ``act`` runs before the command is passed on, or ``at_reply`` before its reply is. Then the command is
    passed on, dropped with its connection (``drops``), or held until ``release()`` (``holds``).
    """

    def __init__(
        self,
        client: str,
        words: tuple[bytes, ...],
        act: Callable[[], None],
        *,
        at_reply: bool = False,
        drops: bool = False,
        holds: bool = False,
    ) -> None:
        self.client = client
        self.at_reply = at_reply
        self.drops = drops
        self._sprung = asyncio.Event()
        self._words = words
        self._act = act
        self._released = asyncio.Event()
        if not holds:
            self._released.set()

    async def caught(self) -> None:
        """Wait until the command has come."""
        async with asyncio.timeout(30):
            await self._sprung.wait()

    def release(self) -> None:
        """Let what is held go on."""
        self._released.set()

    def matches(self, client: str, command: bytes) -> bool:
        """Tell whether this is the command waited for."""
        return not self._sprung.is_set() and client == self.client and all(word in command for word in self._words)

    async def spring(self) -> None:
        """Do what is to be done in this instant."""
        self._sprung.set()
        self._act()
        await self._released.wait()


class Wire:
    """A TCP proxy before one server."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._traps: list[Trap] = []
        self._held: list[Trap] = []
        self._listener: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.url = ""

    def set(
        self,
        client: str,
        *words: bytes,
        act: Callable[[], None] = lambda: None,
        at_reply: bool = False,
        drops: bool = False,
        holds: bool = False,
    ) -> Trap:
        """Set a trap for the next command of a client with these words in it."""
        trap = Trap(client, words, act, at_reply=at_reply, drops=drops, holds=holds)
        self._traps.append(trap)
        return trap

    def lead_to(self, server_port: int) -> None:
        """Lead new connections to another server, as an address that moves does; those that are open stay."""
        self._server_port = server_port

    def clear(self) -> None:
        """Take all traps away and let go on what they hold."""
        for trap in (*self._traps, *self._held):
            trap.release()
        self._traps.clear()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None  # entered
        self._listener.close()
        self.clear()
        for writer in self._connections.values():
            writer.close()
        await asyncio.gather(*self._connections)
        await self._listener.wait_closed()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # a coroutine always runs in one
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            return await _close(writer)
        awaited: list[Trap] = []
        ways = [
            asyncio.create_task(self._commands(reader, up_writer, awaited)),
            asyncio.create_task(self._replies(up_reader, writer, awaited)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for each in await asyncio.gather(*ways, return_exceptions=True):
            if not isinstance(each, OSError | asyncio.CancelledError | None):
                raise each  # a fault of the wire, not the end of a connection
        await asyncio.gather(_close(writer), _close(up_writer))

    async def _commands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, awaited: list[Trap]) -> None:
        client, rest = "", b""
        while chunk := await reader.read(CHUNK):
            commands, rest = split(rest + chunk)
            for command in commands:
                client = _name(command) or client
                for trap in [trap for trap in self._traps if trap.matches(client, command)]:
                    self._traps.remove(trap)
                    self._held.append(trap)
                    if trap.at_reply:
                        awaited.append(trap)
                        continue
                    await trap.spring()
                    if trap.drops:
                        return
                if writer.is_closing():  # the server has gone, and what comes next it will never hear
                    return
                writer.write(command)
            await writer.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, awaited: list[Trap]) -> None:
        while chunk := await reader.read(CHUNK):
            while awaited:
                await awaited.pop().spring()
            writer.write(chunk)
            await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole commands at the beginning of a buffer, and the rest."""
    commands: list[bytes] = []
    at = 0
    while (end := _end_of_command(buffer, at)) is not None:
        commands.append(buffer[at:end])
        at = end
    return commands, buffer[at:]


def _end_of_command(buffer: bytes, at: int) -> int | None:
    line = buffer.find(b"\r\n", at)
    if line < 0:
        return None
    words, at = int(buffer[at + 1 : line]), line + 2
    for _ in range(words):
        line = buffer.find(b"\r\n", at)
        if line < 0:
            return None
        at = line + 2 + int(buffer[at + 1 : line]) + 2
    return at if at <= len(buffer) else None


def _name(command: bytes) -> str | None:
    """Return the service and the number in the name a client gives itself: prefix, service, number, host, process."""
    words = command.split(b"\r\n")
    if len(words) > 6 and words[2].upper() == b"CLIENT" and words[4].upper() == b"SETNAME":
        return words[6].decode().partition("@")[0].rpartition(":")[2]
    return None
