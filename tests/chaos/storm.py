"""The wire in a storm: replies of the server are lost, held up, or their connection is reset. Counts what it drops."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.processes.wire import CHUNK, Trap, Wire

WORTH_LOSING = 12  # bytes; "+OK" and an empty read are not what anybody waits for
_AT_ONCE = struct.pack("ii", 1, 0)  # closes a socket with a reset


class Mishap(Enum):
    """What befalls a reply: its connection goes silent from then on, or is reset."""

    LOST = auto()
    RESET = auto()


@dataclass
class Squall:
    """So many replies that must not arrive; every reply that is worth it is one of them by chance."""

    mishap: Mishap
    left: int
    chance: random.Random
    hits: int = 0
    dropped: int = 0
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    def strikes(self, chunk: bytes) -> bool:
        """Tell whether this reply is one of them."""
        if not self.left or len(chunk) < WORTH_LOSING or self.chance.random() < 0.7:
            return False
        self.left -= 1
        self.hits += 1
        if not self.left:
            self.is_over.set()
        return True


class Storm(Wire):
    """A wire whose replies suffer: ``squall`` takes some, ``delay_s`` holds up all."""

    def __init__(self, server_port: int) -> None:
        super().__init__(server_port)
        self.squall: Squall | None = None
        self.delay_s = 0.0
        self.held = 0

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, awaited: list[Trap]) -> None:
        while chunk := await reader.read(CHUNK):
            squall = self.squall
            if squall is not None and squall.strikes(chunk):
                squall.dropped += len(chunk)
                if squall.mishap is Mishap.RESET:
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    writer.transport.abort()
                    return
                while chunk := await reader.read(CHUNK):  # what follows would be taken for the reply that is missing
                    squall.dropped += len(chunk)
                return
            if self.delay_s:
                self.held += 1
                await asyncio.sleep(self.delay_s)
            writer.write(chunk)
            await writer.drain()
