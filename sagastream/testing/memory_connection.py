"""A connection to the in-memory Redis: adds the waiting, delays and losses of a network.

It waits in the time of the running event loop; it executes no command itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from sagastream.bus import Argument, Command, Reply
from sagastream.errors import ReplyError
from sagastream.testing.memory_server import MemoryServer, encoded, words
from sagastream.testing.memory_stream_read import StreamRead, group_read

Hook = Callable[[Command], Awaitable[None]]


class MemoryConnection:
    """One client's connection to a ``MemoryServer``.

    ``before`` is awaited before each command reaches the server, ``after`` before its reply (or error
    reply) reaches the caller: delay by sleeping, lose the command or the reply by raising
    ``ServerUnavailable``. Each command of a pipeline passes both, so other clients' commands may come between.
    """

    def __init__(self, server: MemoryServer, *, before: Hook | None = None, after: Hook | None = None) -> None:
        self.server = server
        self.before = before
        self.after = after

    async def execute(self, *command: Argument) -> Reply:
        """Execute one command; an XREAD or XREADGROUP with BLOCK waits for entries.

        Raises: ReplyError for an error reply; whatever the hooks raise.
        """
        return await self._execute(command)

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        """Execute commands one by one, each waiting as it would alone; error replies are returned in their places.

        Raises: whatever the hooks raise; earlier commands have then taken effect.
        """
        replies: list[Reply | ReplyError] = []
        for command in commands:
            try:
                replies.append(await self._execute(command))
            except ReplyError as error:
                replies.append(error)
        return replies

    async def _execute(self, command: Command) -> Reply:
        if self.before is not None:
            await self.before(command)
        try:
            reply = self.server.call(*command)
            if reply is None and encoded(command[0]).upper() in (b"XREAD", b"XREADGROUP"):
                reply = await self._read_blocked(command)
        except ReplyError:
            if self.after is not None:
                await self.after(command)
            raise
        if self.after is not None:
            await self.after(command)
        return reply

    async def _read_blocked(self, command: Command) -> Reply:
        name, arguments = words(command)
        reading = group_read(arguments) if name.upper() == b"XREADGROUP" else StreamRead(arguments)
        if reading.block_ms is None:
            return None
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + reading.block_ms / 1000
        while True:
            waiter: asyncio.Future[bool | None] = loop.create_future()
            self.server.space.wait_for(reading.keys, waiter)
            timer = loop.call_at(ends_at, _give_up, waiter) if reading.block_ms else None
            try:
                is_late = await waiter
            finally:
                self.server.space.stop_waiting(reading.keys, waiter)
                if timer is not None:
                    timer.cancel()
            # The same XADD may have woken another consumer of the group, which read the entry first.
            reply = self.server.call(*command)
            if reply is not None or is_late:
                return reply


def _give_up(waiter: asyncio.Future[bool | None]) -> None:
    if not waiter.done():
        waiter.set_result(True)
