"""What the customer is told and what became of it. Pure: takes values, returns values, reaches nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from notification_service.channels import Message, Receipt, Undeliverable
from notification_service.templates import Text


class Kind(StrEnum):
    """What a notice is about."""

    CONFIRMATION = "Confirmation"
    CANCELLATION = "Cancellation"


class Status(StrEnum):
    """Where a notice stands; both are final."""

    SENT = "Sent"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice to a customer. Holds no address: what was sent can be found by ``message_id``."""

    order_id: str
    kind: Kind
    status: Status
    channel: str
    decided_ms: int
    message_id: str = ""
    reason: str = ""


def message(key: str, order_id: str, email: str | None, text: Text, at_ms: int) -> Message:
    """Return the message to send; ``key`` is the same for every attempt."""
    return Message(key=key, order_id=order_id, to=email or None, subject=text.subject, body=text.body, at_ms=at_ms)


def notice(order_id: str, kind: Kind, answer: Receipt | Undeliverable, at_ms: int) -> Notice:
    """Return what became of a message."""
    if isinstance(answer, Receipt):
        return Notice(order_id, kind, Status.SENT, answer.channel, at_ms, message_id=answer.message_id)
    return Notice(order_id, kind, Status.REFUSED, answer.channel, at_ms, reason=answer.reason)
