"""A real mail server on loopback that answers as it is told, and keeps what it took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, Envelope, Session

from notification_service.channels import Message

SENDER = "shop@example.org"
MESSAGE = Message("saga-1.notify", "order-1", "ada@example.com", "Subject", "Grüße\n", 1_767_225_600_123)


@dataclass
class Postmaster:
    """Answers of a mail server by stage, and what it took; ``wait`` holds it up before it takes a message."""

    mail: str = ""
    rcpt: str = ""
    data: str = "250 taken"
    wait: Callable[[], Awaitable[object]] | None = None
    taken: list[Envelope] = field(default_factory=list)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.mail or "250 ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt:
            return self.rcpt.format(address=address)
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.wait:
            await self.wait()
        if self.data.startswith("250"):
            self.taken.append(envelope)
        return self.data


def plain(postmaster: Postmaster) -> SMTP:
    """Return a session of a server that asks nobody to log in."""
    return SMTP(postmaster, enable_SMTPUTF8=True)


@asynccontextmanager
async def served(postmaster: Postmaster, make: Callable[[Postmaster], SMTP] = plain) -> AsyncIterator[int]:
    """Yield the port of a mail server on loopback."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: make(postmaster), host="127.0.0.1", port=0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
