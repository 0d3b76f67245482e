"""How messages reach customers: the port, and the answers. Owns the words; reaches nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class NotSent(Exception):
    """The message may or may not have been taken.

    Let it propagate: the step is tried again with the same key.
    """


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one customer, or, where ``to`` is None, about one order.

    ``key`` is the same for every attempt to send it; ``at_ms`` is epoch milliseconds. ``html`` says what ``body``
    says; without it the message is plain text.
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
    """The message was taken."""

    channel: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """The message is refused for good; ``reason`` is for people and names no address."""

    channel: str
    reason: str


class Channel(Protocol):
    """A way to customers.

    Sending may be repeated with the same key; the message then carries the same id, by which it can be
    recognised. It does **not** promise that a repeated message reaches the customer only once: SMTP cannot.

    Raises: ``NotSent`` when it is not decided whether the message was taken.
    """

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Send a message, or say that it can never be delivered."""
        ...


@dataclass(frozen=True, slots=True)
class MailOrOutbox:
    """Mail for those who gave an address, the outbox for everybody else."""

    mail: Channel
    outbox: Channel

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Send by mail where there is an address."""
        return await (self.outbox if message.to is None else self.mail).send(message)
