"""A message as e-mail. Owns headers and ids, which are the same for every attempt; sends nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.policy import EmailPolicy, default
from email.utils import format_datetime
from functools import cache

from notification_service.channels import Message
from sagastream.envelope import derived_id

_ADDRESS = re.compile(r"(?P<name>[^\s@<>()\[\]\\,;:\"]{1,64})@(?P<domain>[^\s@<>()\[\]\\,;:\"]{1,190})")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


class _Plain(EmailPolicy):
    """A policy that keeps a one-line ASCII header unparsed and, if it is short enough, writes it unfolded.

    The standard policy parses every header on each assignment and each access, and searches for places to fold it.
    """

    def header_store_parse(self, name: str, value: str) -> tuple[str, str]:
        return (name, value) if _is_plain(value) else super().header_store_parse(name, value)

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value if _is_plain(value) else super().header_fetch_parse(name, value)

    def header_max_count(self, name: str) -> int | None:
        return _most(name)

    def fold_binary(self, name: str, value: object) -> bytes:
        line = f"{name}: {value}"
        if _is_plain(line) and len(line) < self.max_line_length:  # type: ignore[operator]  # this one has one
            return line.encode() + b"\r\n"
        return super().fold_binary(name, value)  # type: ignore[arg-type]  # a header or a text


@cache
def _most(name: str) -> int | None:
    return default.header_max_count(name)  # builds a class on every call


def _is_plain(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable()


_ASCII = _Plain(linesep="\r\n", raise_on_defect=False)
_UTF8 = _ASCII.clone(utf8=True)
# The same for every attempt, and so for every message. No line of the shop's texts equals it.
_BOUNDARY = f"=_{derived_id('boundary')[:24]}"


class NotAnAddress(ValueError):
    """A text cannot be an e-mail address; the error message never shows it."""


def mail(message: Message, sender: str) -> EmailMessage:
    """Return the e-mail; without an address it is addressed to the order, as a group without members.

    Text comes first and HTML after it: a mail reader shows the last form it understands (RFC 2046, alternative).
    Raises: ``NotAnAddress``.
    """
    policy = _ASCII if (message.to or "").isascii() else _UTF8
    written = EmailMessage(policy=policy)
    written["From"] = str(_address(sender))
    written["To"] = str(Group(f"order {message.order_id}") if message.to is None else _address(message.to))
    written["Subject"] = message.subject
    written["Date"] = format_datetime(datetime.fromtimestamp(message.at_ms // 1000, UTC))
    written["Message-ID"] = message_id(message, sender)
    written["Auto-Submitted"] = "auto-generated"
    written.set_content(message.body)
    if message.html:
        written.make_alternative(boundary=_BOUNDARY)
        written.add_alternative(message.html, subtype="html")
    return written


def message_id(message: Message, sender: str) -> str:
    """Return the id by which a repeated message can be recognised."""
    return f"<{derived_id('message', message.key)}@{sender.rpartition('@')[2]}>"


def file_name(message: Message) -> str:
    """Return the name of a message's file: safe in a directory, and different for different keys.

    Shape: ``<order id>-<key>-<fingerprint>.eml``; every character but letters, digits, ``_`` and ``-`` becomes ``-``.
    """
    readable = _UNSAFE.sub("-", f"{message.order_id}-{message.key}")[:200]
    return f"{readable}-{derived_id('message', message.key)[:12]}.eml"


def _address(text: str) -> Address:
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise NotAnAddress("the address is not of the form name@domain")
    return Address(username=found["name"], domain=found["domain"])
