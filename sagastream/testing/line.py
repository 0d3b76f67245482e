"""The connection of one worker to the server: all its commands pass here, and faults are injected here.

After a worker is killed, none of its commands or errors gets through; after a pause, they get through later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from sagastream.bus import Argument, Command, Reply
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.testing.faults import Fault, Luck
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer

SCRIPTS = frozenset({"EVALSHA", "EVAL"})
UNWILLING = frozenset({"OOM", "READONLY"})  # as in ``bus``: the server is in trouble, the command is not at fault


class Worker(Protocol):
    """The worker at this end of the connection."""

    luck: Luck
    life: int
    paused_until: float

    def kill(self) -> None:
        """End at once."""
        ...

    def pause(self, seconds: float) -> None:
        """Freeze for a while."""
        ...

    async def wake(self, life: int) -> None:
        """Return when a worker of this life may continue: at once, after its pause, or never."""
        ...


class Line(MemoryConnection):
    """The connection of one life of a worker. ``observe`` is called right after the server executed a script."""

    def __init__(self, server: MemoryServer, worker: Worker, observe: Callable[[], None]) -> None:
        super().__init__(server)
        self._worker = worker
        self._life = worker.life
        self._observe = observe

    async def execute(self, *command: Argument) -> Reply:
        """Execute one command, unless a fault prevents it."""
        if self._is_plain(command):
            return self._plain(command)
        return await self._execute(command)

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        """Execute commands one by one, each waiting as it would alone; error replies are returned in their places."""
        replies: list[Reply | ReplyError] = []
        for command in commands:
            try:
                is_plain = self._is_plain(command)
                replies.append(self._plain(command) if is_plain else await self._execute(command))
            except ReplyError as error:
                replies.append(error)
        return replies

    def _is_plain(self, command: Command) -> bool:
        """Tell whether a command meets no fault: the fast path for the recurring commands of idle workers."""
        worker = self._worker
        return not worker.paused_until and worker.life == self._life and worker.luck.passes(command)

    def _plain(self, command: Command) -> Reply:
        try:
            return self.server.call(*command)
        except ReplyError as error:
            raise ServerUnavailable(str(error)) if error.code in UNWILLING else error from None

    async def _execute(self, command: Command) -> Reply:
        worker, life, luck = self._worker, self._life, self._worker.luck
        name = str(command[0])
        fault, there, back = luck.at_command(command)
        if fault is not None:
            if fault is Fault.KILLED_BEFORE:
                worker.kill()
            elif fault is Fault.PAUSED:
                worker.pause(luck.pause())
            elif fault is Fault.LOST_COMMAND:
                raise ServerUnavailable("the command was lost")
        if there:
            await asyncio.sleep(there)
        if worker.paused_until or worker.life != life:
            await worker.wake(life)
        refused: ReplyError | None = None
        reply: Reply = None
        try:
            reply = self.server.call(*command)
            if reply is None and name == "XREADGROUP":
                reply = await self._read_blocked(command)
        except ReplyError as error:
            refused = error
        if name in SCRIPTS:
            self._observe()
        if fault is Fault.KILLED_AFTER:
            worker.kill()
        elif fault is Fault.LOST_REPLY:
            raise ServerUnavailable("the reply was lost")
        if back:
            await asyncio.sleep(back)
        if worker.paused_until or worker.life != life:
            await worker.wake(life)
        if refused is not None:
            raise ServerUnavailable(str(refused)) if refused.code in UNWILLING else refused
        if name == "XREADGROUP" and isinstance(reply, list) and len(reply) > 1 and luck.is_shuffled():
            return reply[::-1]
        return reply
