"""Somebody who receives webhooks on loopback and answers as a test wants."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sagastream.settings import Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def answer(status: int, *lines: str) -> bytes:
    """Return an answer without a body."""
    return "\r\n".join([f"HTTP/1.1 {status} So", "content-length: 0", *lines, "", ""]).encode()


@dataclass(frozen=True)
class Request:
    """What came in."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:  # noqa: ANN401  # JSON
        """Return the body, decoded."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """Notes every request, and answers each as it is told to."""

    answers: Callable[[Request], bytes | Awaitable[bytes]] = lambda request: OK
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    lines: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def ids(self) -> list[str]:
        """Return the ids that came in, in their order."""
        return [request.headers["webhook-id"] for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        self.connections += 1
        self.lines.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *lines = head.decode().strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(line, headers, body)
                self.requests.append(request)
                told = self.answers(request)
                writer.write(told if isinstance(told, bytes) else await told)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.lines.discard(writer)
            writer.close()


@asynccontextmanager
async def receiving(
    receiver: Receiver, *, port: int = 0, certificate: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Receive around the block, and on no connection that was kept afterwards; yield the port."""
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port, ssl=certificate)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver.port
    finally:
        server.close()
        for writer in receiver.lines:
            writer.transport.abort()


def settings(url: str, *, networks: str = "127.0.0.0/8", **further: Any) -> Settings:  # noqa: ANN401  # any setting
    """Return settings of one that tells this receiver."""
    told = {"webhook_url": url, "webhook_secret": SECRET, "webhook_private_networks": networks, **further}
    return Settings.model_validate(told)
