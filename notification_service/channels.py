"""How messages reach customers: the port, and the answers. Owns the types; performs no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class NotSent(Exception):
    """The message may or may not have been accepted.

    Let it propagate: the step is retried with the same key.
    """


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one customer, or, where ``to`` is None, about one order.

    ``key`` is the same for every attempt to send it; ``at_ms`` is epoch milliseconds. ``html`` has the content of
    ``body``; without it the message is plain text.
    """

    key: str
    order_id: str
    to: str | None = field(repr=False)
    subject: str
    body: str = field(repr=False)
    at_ms: int
    html: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The message was accepted."""

    channel: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """The message is refused for good; ``reason`` is for human readers and contains no address."""

    channel: str
    reason: str


class Channel(Protocol):
    """A channel to customers.

    Sending may be repeated with the same key; the message then carries the same id, by which the recipient's
    system can recognise it. It does **not** promise that a repeated message arrives only once: SMTP cannot.

    Raises: ``NotSent`` when it is unknown whether the message was accepted.
    """

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Send a message, or return why it can never be delivered."""
        ...


@dataclass(frozen=True, slots=True)
class MailOrOutbox:
    """Mail for customers who gave an address, the outbox for all others."""

    mail: Channel
    outbox: Channel

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Send by mail if the message has an address, else to the outbox."""
        return await (self.outbox if message.to is None else self.mail).send(message)
