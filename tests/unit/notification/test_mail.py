"""A message as e-mail is the same for every attempt, and nothing breaks out of its header or directory."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.policy import default

import pytest

from notification_service import templates
from notification_service.channels import Message
from notification_service.mail import NotAnAddress, file_name, mail, message_id

SENDER = "shop@example.org"
MESSAGE = Message(
    key="saga-1.notify",
    order_id="order-1",
    to="ada@example.com",
    subject="Your order order-1 is confirmed",
    body="Grüße\n",
    at_ms=1_767_225_600_123,
)


def test_a_message_has_the_headers_a_mail_server_wants() -> None:
    read = message_from_bytes(mail(MESSAGE, SENDER).as_bytes(), policy=default)

    assert (read["From"], read["To"]) == ("shop@example.org", "ada@example.com")
    assert read["Subject"] == "Your order order-1 is confirmed"
    assert read["Date"] == "Thu, 01 Jan 2026 00:00:00 +0000"
    assert read["Message-ID"] == message_id(MESSAGE, SENDER)
    assert read["Auto-Submitted"] == "auto-generated"
    assert read.get_content().splitlines() == ["Grüße"]


def test_the_id_and_the_file_follow_from_the_key() -> None:
    """A second attempt may know another instant; it is still the same message."""
    again = replace(MESSAGE, at_ms=1)
    other = replace(MESSAGE, key="saga-2.notify")

    assert message_id(again, SENDER) == message_id(MESSAGE, SENDER) != message_id(other, SENDER)
    assert file_name(again) == file_name(MESSAGE) != file_name(other)


def test_without_an_address_the_message_is_addressed_to_the_order() -> None:
    read = message_from_bytes(mail(replace(MESSAGE, to=None), SENDER).as_bytes(), policy=default)

    assert str(read["To"]) == "order order-1:;"


def test_addresses_beyond_ascii_survive() -> None:
    written = mail(replace(MESSAGE, to="jürgen@müller.example"), SENDER).as_bytes()

    assert "\r\nTo: jürgen@müller.example\r\n".encode() in written


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "a@b@c",
        "ada@example.com, eve@example.com",
        "ada@example.com\nBcc: eve@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\n",
        "Ada <ada@example.com>",
        "a b@example.com",
        "x" * 65 + "@example.com",
        "ada@" + "x" * 191,
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(NotAnAddress) as caught:
        mail(replace(MESSAGE, to=address), SENDER)

    assert str(caught.value) == "the address is not of the form name@domain"


@pytest.mark.parametrize("subject", ["Ready", "Grüße", "ready " * 40 + "now", "grüße " * 40 + "jetzt", "x" * 200])
def test_a_subject_is_read_as_it_was_given_whatever_its_length_and_letters(subject: str) -> None:
    written = mail(replace(MESSAGE, subject=subject), SENDER).as_bytes()

    assert message_from_bytes(written, policy=default)["Subject"] == subject
    assert all(len(line) <= 998 for line in written.splitlines())  # RFC 5322, 2.1.1


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x85", "\u2028"])
def test_a_subject_cannot_end_its_line(end: str) -> None:
    with pytest.raises(ValueError, match="linefeed"):
        mail(replace(MESSAGE, subject=f"Ready{end}Bcc: eve@example.com"), SENDER)


@pytest.mark.parametrize("order_id", ["../../etc/passwd", "a/b", "..", "x" * 500, "\x00", "ü"])
def test_an_order_id_cannot_leave_the_outbox(order_id: str) -> None:
    name = file_name(replace(MESSAGE, order_id=order_id))

    assert "/" not in name
    assert "\x00" not in name
    assert not name.startswith(".")
    assert len(name.encode()) < 255


def test_a_file_tells_order_saga_and_step_by_its_name() -> None:
    """Whoever compares the books counts messages by it, also with the longest ids there are."""
    order_id, saga_id = "o" * 64, "f" * 64

    name = file_name(replace(MESSAGE, order_id=order_id, key=f"{saga_id}.tell_cancelled"))

    assert name.rsplit("-", 3)[:3] == [order_id, saga_id, "tell_cancelled"]


def test_a_message_shows_no_address_and_no_text_when_it_is_logged() -> None:
    assert "ada@" not in repr(MESSAGE)
    assert "Grüße" not in repr(MESSAGE)


def test_a_message_with_html_offers_both_forms() -> None:
    """Text first, so that a reader that knows HTML shows that; the words survive both."""
    text = templates.confirmation("order-1", 29_999, "EUR")
    message = replace(MESSAGE, subject=text.subject, body=text.body, html=text.html)

    read = message_from_bytes(mail(message, SENDER).as_bytes(), policy=default)

    assert read.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    plain, html = (part.get_content().replace("\r\n", "\n") for part in read.iter_parts())
    assert (plain, html) == (text.body, text.html)


def test_every_attempt_writes_the_same_bytes() -> None:
    """Also where there are parts, whose boundary is usually random."""
    message = replace(MESSAGE, html="<p>Grüße</p>")

    assert mail(message, SENDER).as_bytes() == mail(message, SENDER).as_bytes()
    assert mail(message, SENDER).as_bytes() != mail(replace(message, key="saga-2.notify"), SENDER).as_bytes()
