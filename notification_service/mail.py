"""A message as e-mail. Owns headers and ids, the same for every attempt; sends nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.headerregistry import Address, BaseHeader, Group, HeaderRegistry
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from functools import lru_cache

from notification_service.channels import Message
from sagastream.envelope import derived_id

_ADDRESS = re.compile(r"(?P<name>[^\s@<>()\[\]\\,;:\"]{1,64})@(?P<domain>[^\s@<>()\[\]\\,;:\"]{1,190})")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


class _Headers(HeaderRegistry):
    """The standard registry, which by itself makes and parses every header of every message anew."""

    def __init__(self) -> None:
        super().__init__()
        self._made = lru_cache(maxsize=64)(super().__getitem__)
        self._parsed = lru_cache(maxsize=64)(super().__call__)

    def __getitem__(self, name: str) -> type:
        return self._made(name)

    def __call__(self, name: str, value: object) -> BaseHeader:
        # Most are the same in all messages; they are texts, and never changed.
        return self._parsed(name, value) if isinstance(value, str) else super().__call__(name, value)


class _Plain(EmailPolicy):
    """Writes a header that fits into a line as it is: the standard policy looks for where to break every one."""

    def fold_binary(self, name: str, value: object) -> bytes:
        line = f"{name}: {value}"
        if line.isascii() and line.isprintable() and len(line) < self.max_line_length:  # type: ignore[operator]
            return line.encode() + b"\r\n"
        return super().fold_binary(name, value)  # type: ignore[arg-type]


_ASCII = _Plain(linesep="\r\n", raise_on_defect=False, header_factory=_Headers())
_UTF8 = _ASCII.clone(utf8=True)
# The same in every attempt, and so in every message: its header is parsed once. No text of ours has such a line.
_BOUNDARY = f"=_{derived_id('boundary')[:24]}"


class NotAnAddress(ValueError):
    """What was given as an address cannot be one; the message never shows it."""


def mail(message: Message, sender: str) -> EmailMessage:
    """Return the e-mail; without an address it is addressed to the order, a group without members.

    Text comes first and HTML after it: a reader shows the last form it understands (RFC 2046, alternative).
    Raises: ``NotAnAddress``.
    """
    policy = _ASCII if (message.to or "").isascii() else _UTF8
    written = EmailMessage(policy=policy)
    written["From"] = str(_address(sender))
    written["To"] = Group(f"order {message.order_id}") if message.to is None else _address(message.to)
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

    Shape: ``<order id>-<key>-<fingerprint>.eml``; whatever is not a letter, digit, ``_`` or ``-`` is a ``-``.
    """
    readable = _UNSAFE.sub("-", f"{message.order_id}-{message.key}")[:200]
    return f"{readable}-{derived_id('message', message.key)[:12]}.eml"


def _address(text: str) -> Address:
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise NotAnAddress("the address is not of the form name@domain")
    return Address(username=found["name"], domain=found["domain"])
