"""Mail goes out encrypted where the server offers it, and not at all where it cannot be trusted."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from notification_service.channels import NotSent, Receipt
from notification_service.smtp import SmtpChannel, SmtpServer
from tests.needs import program
from tests.unit.notification.postmaster import MESSAGE, SENDER, Postmaster, served


class Watchman(Postmaster):
    """A postmaster who notes how each message came in."""

    def __init__(self) -> None:
        super().__init__()
        self.ciphers: list[bool] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Note whether the line is encrypted."""
        self.ciphers.append(session.ssl is not None)
        return await super().handle_DATA(server, session, envelope)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for loopback that nobody trusts unless told to, and its key, in one file."""
    made = tmp_path_factory.mktemp("certificate") / "loopback.pem"
    command = [str(program("openssl")), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
               "-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1",
               "-keyout", str(made), "-out", f"{made}.crt"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    made.write_text(made.read_text() + Path(f"{made}.crt").read_text())
    return made


def encrypting(certificate: Path) -> Callable[[Postmaster], SMTP]:
    """Return a maker of sessions of a server that offers STARTTLS and takes no mail without it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def make(postmaster: Postmaster) -> SMTP:
        return SMTP(postmaster, tls_context=context, require_starttls=True)

    return make


async def test_starttls_is_used_where_it_is_offered(certificate: Path) -> None:
    """The message comes in over the encrypted line."""
    watchman = Watchman()
    trust = ssl.create_default_context(cafile=str(certificate))

    async with served(watchman, encrypting(certificate)) as port:
        channel = SmtpChannel(SmtpServer("127.0.0.1", port), sender=SENDER, trust=trust)
        receipt = await channel.send(MESSAGE)

    assert isinstance(receipt, Receipt)
    assert watchman.ciphers == [True]
    assert [envelope.rcpt_tos for envelope in watchman.taken] == [["ada@example.com"]]


async def test_a_server_nobody_trusts_is_sent_nothing(certificate: Path) -> None:
    """A wrong certificate is never a reason to go on in the clear; mended, the same message is sent."""
    watchman = Watchman()

    async with served(watchman, encrypting(certificate)) as port:
        with pytest.raises(NotSent, match="cannot be used"):
            await SmtpChannel(SmtpServer("127.0.0.1", port), sender=SENDER).send(MESSAGE)

    assert watchman.ciphers == []


async def test_encryption_that_was_asked_for_is_never_given_up() -> None:
    """A server that answers ``smtps`` in the clear is sent nothing."""
    watchman = Watchman()

    async with served(watchman) as port:
        with pytest.raises(NotSent):
            await SmtpChannel(SmtpServer("127.0.0.1", port, is_encrypted=True), sender=SENDER).send(MESSAGE)

    assert watchman.ciphers == []
