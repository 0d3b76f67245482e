"""The notices to customers and their outcome. Pure: takes values, returns values, performs no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from notification_service import templates
from notification_service.channels import Message, Receipt, Undeliverable
from notification_service.templates import Text


class Kind(StrEnum):
    """What a notice is about."""

    CONFIRMATION = "Confirmation"
    CANCELLATION = "Cancellation"


class Status(StrEnum):
    """The status of a notice; both are final."""

    SENT = "Sent"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice to a customer. Holds no address: a sent message can be found by ``message_id``.

    Its text is derived from ``template``, ``total_cents`` and ``currency``.
    """

    order_id: str
    kind: Kind
    status: Status
    channel: str
    decided_ms: int
    message_id: str = ""
    reason: str = ""
    template: int = 0
    total_cents: int = 0
    currency: str = ""


def message(key: str, order_id: str, email: str | None, text: Text, at_ms: int) -> Message:
    """Return the message to send; ``key`` is the same for every attempt."""
    return Message(
        key=key, order_id=order_id, to=email or None, subject=text.subject, body=text.body, at_ms=at_ms, html=text.html
    )


def notice(
    order_id: str,
    kind: Kind,
    answer: Receipt | Undeliverable,
    at_ms: int,
    *,
    total_cents: int = 0,
    currency: str = "",
) -> Notice:
    """Return the outcome of a message as a notice, with the fields its text is derived from."""
    return Notice(
        order_id=order_id,
        kind=kind,
        status=Status.SENT if isinstance(answer, Receipt) else Status.REFUSED,
        channel=answer.channel,
        decided_ms=at_ms,
        message_id=answer.message_id if isinstance(answer, Receipt) else "",
        reason="" if isinstance(answer, Receipt) else answer.reason,
        template=templates.VERSION,
        total_cents=total_cents,
        currency=currency,
    )


def text(notice: Notice) -> Text | None:
    """Return the text of a notice, None if another version of the templates wrote it."""
    if notice.template != templates.VERSION:
        return None
    match notice.kind:
        case Kind.CONFIRMATION:
            return templates.confirmation(notice.order_id, notice.total_cents, notice.currency)
        case Kind.CANCELLATION:
            return templates.cancellation(notice.order_id)
