"""Mail through a real SMTP server on loopback: taken, refused for good, or not decided. No address shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from notification_service import templates
from notification_service.channels import NotSent, Receipt, Undeliverable
from notification_service.smtp import SmtpChannel, SmtpServer
from tests.unit.notification.postmaster import MESSAGE, SENDER, Postmaster, served


def channel(port: int, login: str = "", *, timeout: timedelta = timedelta(seconds=10)) -> SmtpChannel:
    """Return a channel to that server."""
    return SmtpChannel(SmtpServer.of(f"smtp://{login}127.0.0.1:{port}"), sender=SENDER, timeout=timeout)


async def test_a_message_is_handed_in() -> None:
    """A repetition carries the same id."""
    postmaster = Postmaster()

    async with served(postmaster) as port:
        receipts = [await channel(port).send(MESSAGE) for _ in range(2)]

    assert receipts[0] == receipts[1]
    assert isinstance(receipts[0], Receipt)
    assert receipts[0].channel == "email"
    assert [envelope.rcpt_tos for envelope in postmaster.taken] == [["ada@example.com"]] * 2
    for envelope in postmaster.taken:
        assert isinstance(envelope.content, bytes)
        read = message_from_bytes(envelope.content, policy=default)
        assert read["Message-ID"] == receipts[0].message_id
        assert read.get_content().strip() == "Grüße"


async def test_both_forms_of_a_message_are_handed_in() -> None:
    """As they were written, umlauts and all."""
    postmaster = Postmaster()
    text = templates.confirmation("order-1", 29_999, "EUR")

    async with served(postmaster) as port:
        await channel(port).send(replace(MESSAGE, subject=text.subject, body=text.body, html=f"{text.html}<!-- ü -->"))

    (envelope,) = postmaster.taken
    assert isinstance(envelope.content, bytes)
    read = message_from_bytes(envelope.content, policy=default)
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    plain, html = (part.get_content().replace("\r\n", "\n") for part in read.iter_parts())
    assert plain == text.body
    assert html.rstrip() == f"{text.html}<!-- ü -->"


async def test_an_address_beyond_ascii_is_handed_in() -> None:
    postmaster = Postmaster()

    async with served(postmaster) as port:
        await channel(port).send(replace(MESSAGE, to="jürgen@example.com"))

    assert [envelope.rcpt_tos for envelope in postmaster.taken] == [["jürgen@example.com"]]


@pytest.mark.parametrize(
    "postmaster",
    [
        Postmaster(rcpt="550 no such mailbox {address}"),
        Postmaster(rcpt="553 {address}?"),
        Postmaster(rcpt="550 5.1.1 <{address}>: unknown"),
        Postmaster(rcpt="552 5.2.2 the mailbox of {address} is full"),
        Postmaster(data="554 spam"),
        Postmaster(data="554 5.6.0 spam"),
    ],
    ids=lambda postmaster: postmaster.rcpt or postmaster.data,
)
async def test_a_refusal_for_good_is_told_without_the_address(postmaster: Postmaster) -> None:
    """Mailbox and content are the customer's matter; the server's words may name him and are not repeated."""
    async with served(postmaster) as port:
        answer = await channel(port).send(MESSAGE)

    assert isinstance(answer, Undeliverable)
    assert "refused the message for good (55" in answer.reason
    assert "ada" not in answer.reason


@pytest.mark.parametrize(
    "postmaster",
    [
        Postmaster(rcpt="450 {address} later"),
        Postmaster(rcpt="530 log in first, {address}"),
        Postmaster(rcpt="535 log in first, {address}"),
        Postmaster(rcpt="503 need MAIL before {address}"),
        Postmaster(rcpt="554 5.7.1 <{address}>: Relay access denied"),
        Postmaster(rcpt="550-5.7.26 this mail is not authenticated\n550 5.7.26 {address}"),
        Postmaster(rcpt="550 5.1.8 sender rejected for {address}"),
        Postmaster(rcpt="550 5.5.1 what?"),
        Postmaster(data="550 5.7.1 your address is on a list"),
        Postmaster(data="554 5.3.0 no room"),
        Postmaster(data="451 later"),
        Postmaster(mail="421 busy"),
        Postmaster(mail="550 we do not know this shop"),
    ],
    ids=lambda postmaster: postmaster.rcpt or postmaster.mail or postmaster.data,
)
async def test_trouble_that_passes_or_is_ours_decides_nothing(postmaster: Postmaster) -> None:
    """Later, or once the shop's own account is mended, the same message is sent."""
    async with served(postmaster) as port:
        with pytest.raises(NotSent) as caught:
            await channel(port).send(MESSAGE)

    assert "ada" not in str(caught.value)
    assert postmaster.taken == []


async def test_a_server_that_cannot_be_reached_decides_nothing() -> None:
    async with served(Postmaster()) as port:
        pass

    with pytest.raises(NotSent, match="cannot be used"):
        await channel(port).send(MESSAGE)


async def test_a_server_that_does_not_answer_decides_nothing() -> None:
    never = asyncio.Event()

    async with served(Postmaster(wait=never.wait)) as port:
        with pytest.raises(NotSent, match=r"did not take the message|TimeoutError"):
            await channel(port, timeout=timedelta(milliseconds=200)).send(MESSAGE)
        never.set()


async def test_no_more_messages_are_under_way_than_connections_allowed() -> None:
    """A batch of hundreds does not open hundreds of connections."""
    go, two_inside, inside = asyncio.Event(), asyncio.Event(), 0

    async def wait() -> None:
        nonlocal inside
        inside += 1
        if inside == 2:
            two_inside.set()
        await go.wait()

    postmaster = Postmaster(wait=wait)
    async with served(postmaster) as port, served(Postmaster()) as elsewhere:
        narrow = SmtpChannel(SmtpServer("127.0.0.1", port), sender=SENDER, connections=2)
        batch = asyncio.gather(*(narrow.send(replace(MESSAGE, key=str(number))) for number in range(6)))
        await two_inside.wait()
        for _ in range(3):  # time enough for others to come in, if they could
            await channel(elsewhere).send(MESSAGE)

        assert inside == 2
        go.set()
        await batch

    assert len(postmaster.taken) == 6


def login(authenticate: Callable[[LoginPassword], bool]) -> Callable[[Postmaster], SMTP]:
    """Return a maker of sessions of a server that offers to log in."""

    def authenticator(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=authenticate(data), handled=False)

    def make(postmaster: Postmaster) -> SMTP:
        return SMTP(postmaster, authenticator=authenticator, auth_require_tls=False)

    return make


async def test_the_account_of_the_url_is_used() -> None:
    """User and password may hold any character, escaped."""
    seen: list[tuple[bytes, bytes]] = []

    def authenticate(data: LoginPassword) -> bool:
        seen.append((data.login, data.password))
        return True

    postmaster = Postmaster()
    async with served(postmaster, login(authenticate)) as port:
        await channel(port, "sh%40p:p%3Aw@").send(MESSAGE)

    assert seen == [(b"sh@p", b"p:w")]
    assert len(postmaster.taken) == 1


async def test_a_wrong_password_is_our_trouble() -> None:
    """It is no reason to give the customer up, and the password is not shown."""
    async with served(Postmaster(), login(lambda _: False)) as port:
        with pytest.raises(NotSent, match="535") as caught:
            await channel(port, "shop:secret@").send(MESSAGE)

    assert "secret" not in str(caught.value)


async def test_an_address_beyond_ascii_is_refused_where_the_server_takes_none() -> None:
    async with served(Postmaster(), SMTP) as port:
        answer = await channel(port).send(replace(MESSAGE, to="jürgen@example.com"))

    assert answer == Undeliverable("email", "the mail server takes no addresses beyond ASCII")


async def test_a_message_without_an_address_is_not_for_this_channel() -> None:
    answer = await SmtpChannel(SmtpServer("127.0.0.1", 1), sender=SENDER).send(replace(MESSAGE, to=None))

    assert answer == Undeliverable("email", "no address was given")


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", SmtpServer("mail.example", 25)),
        ("smtp://mail.example:2525/", SmtpServer("mail.example", 2525)),
        ("smtps://mail.example", SmtpServer("mail.example", 465, is_encrypted=True)),
        ("smtp://u%40x:p%2Fw@mail.example:587", SmtpServer("mail.example", 587, "u@x", "p/w")),
        ("smtps://u:p@[::1]:465", SmtpServer("::1", 465, "u", "p", is_encrypted=True)),
    ],
)
def test_a_url_names_a_server(url: str, server: SmtpServer) -> None:
    assert SmtpServer.of(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example",
        "http://u:secret@mail.example",
        "smtp://",
        "smtp://u:secret@mail:x",
        "smtp://u:secret@m/x",
    ],
)
def test_a_url_that_names_no_server_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URL must look like") as caught:
        SmtpServer.of(url)

    assert "secret" not in str(caught.value)


def test_a_password_never_crosses_a_network_unencrypted() -> None:
    """STARTTLS is demanded there, used where offered elsewhere; TLS from the start needs none."""
    assert SmtpServer("mail.example", 587, "u", "p").needs_starttls is True
    assert SmtpServer("mail.example", 25).needs_starttls is None
    assert SmtpServer("127.0.0.1", 25, "u", "p").needs_starttls is None
    assert SmtpServer("localhost", 25, "u", "p").needs_starttls is None
    assert SmtpServer("mail.example", 465, "u", "p", is_encrypted=True).needs_starttls is False
    assert "p'" not in repr(SmtpServer("mail.example", 465, "u", "p"))


async def test_a_message_that_was_taken_is_sent_whatever_becomes_of_the_leave_taking() -> None:
    """The server has said so; whoever would not believe it would send the customer the same mail again and again."""
    postmaster = Postmaster()

    class Deaf(SMTP):
        async def smtp_QUIT(self, arg: str | None) -> None:
            await asyncio.sleep(60)

    async with served(postmaster, lambda told: Deaf(told, enable_SMTPUTF8=True)) as port:
        answer = await channel(port).send(MESSAGE)

    assert isinstance(answer, Receipt)
    assert len(postmaster.taken) == 1
