"""The channel to a mail server. Distinguishes refusals for good from transient errors.

A mail server's words may contain the customer's address, so they never go into errors or reasons.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import aiosmtplib

from notification_service.channels import Message, NotSent, Receipt, Undeliverable
from notification_service.mail import NotAnAddress, mail, message_id

CHANNEL = "email"
_LONGEST_LEAVE_S = 1.0
# Permanent refusals that concern us, not the customer: our commands (RFC 5321), our login (RFC 4954) and, by the
# enhanced code (RFC 3463), our address, the server, the network, the protocol or its policy towards us.
_OF_US = frozenset({500, 501, 502, 503, 504, 530, 534, 535, 538})
_SECOND_OF_US = re.compile(r"5\.(?:1\.[78]|[3457]\.\d+)\b")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The mail server. ``is_encrypted``: TLS from the first byte, else STARTTLS where offered."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_encrypted: bool = False

    @classmethod
    def of(cls, url: str) -> SmtpServer:
        """Read ``smtp://user:password@host:port`` or ``smtps://…``; user, password and port may be missing.

        Raises: ``ValueError`` that never shows the password.
        """
        expected = ValueError("SMTP_URL must look like smtp://user:password@host:port or smtps://...")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise expected from None  # the parser's own message would show the URL
        if host is None or parts.scheme not in ("smtp", "smtps") or parts.path not in ("", "/"):
            raise expected
        is_encrypted = parts.scheme == "smtps"
        return cls(
            host=host,
            port=port or (465 if is_encrypted else 25),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            is_encrypted=is_encrypted,
        )

    @property
    def needs_starttls(self) -> bool | None:
        """Tell whether to insist on STARTTLS; None uses it where offered.

        A password never crosses a network unencrypted, whatever the server offers.
        """
        if self.is_encrypted:
            return False
        return True if self.username and not _is_loopback(self.host) else None


class SmtpChannel:
    """Hands messages to one mail server, over a limited number of concurrent connections."""

    def __init__(
        self,
        server: SmtpServer,
        *,
        sender: str,
        timeout: timedelta = timedelta(seconds=10),
        connections: int = 8,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._sender = sender
        self._timeout = timeout
        self._free = asyncio.Semaphore(connections)
        self._trust = trust

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Hand in the message.

        Raises: ``NotSent`` for every error that does not concern this recipient or content.
        """
        if message.to is None:
            return Undeliverable(CHANNEL, "no address was given")
        try:
            async with self._free:
                await self._hand_in(message)
        except NotAnAddress as error:
            return Undeliverable(CHANNEL, str(error))
        except aiosmtplib.SMTPNotSupported:
            if message.to.isascii():
                raise NotSent("the mail server does not support what is needed") from None
            return Undeliverable(CHANNEL, "the mail server takes no addresses beyond ASCII")
        except aiosmtplib.SMTPRecipientsRefused as refused:
            return self._refused(refused.recipients[0].code, refused.recipients[0].message)
        except aiosmtplib.SMTPDataError as refused:
            return self._refused(refused.code, refused.message)
        except aiosmtplib.SMTPResponseException as answer:
            raise NotSent(f"the mail server answered {answer.code} ({type(answer).__name__})") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise NotSent(f"the mail server cannot be used: {type(error).__name__}") from None
        return Receipt(CHANNEL, message_id(message, self._sender))

    async def _hand_in(self, message: Message) -> None:
        server, written = self._server, mail(message, self._sender)
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.is_encrypted,
            start_tls=server.needs_starttls,
            tls_context=self._trust,
            timeout=self._timeout.total_seconds(),
        )
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                await client.connect()
                await client.send_message(written)
        except TimeoutError:
            raise NotSent(f"the mail server did not take the message within {self._timeout}") from None
        finally:
            await _take_leave(client)

    def _refused(self, code: int, words: str) -> Undeliverable:
        if not 500 <= code < 600 or code in _OF_US or _SECOND_OF_US.match(words):
            raise NotSent(f"the mail server answered {code}") from None
        return Undeliverable(CHANNEL, f"the mail server refused the message for good ({code})")


async def _take_leave(client: aiosmtplib.SMTP) -> None:
    """End a connection; the server's decision on the message stands, whatever happens here."""
    try:
        with suppress(aiosmtplib.SMTPException, OSError):  # a TimeoutError is one
            async with asyncio.timeout(_LONGEST_LEAVE_S):
                await client.quit()
    finally:
        client.close()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
