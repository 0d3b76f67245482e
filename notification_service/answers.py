"""The answers that show notices to clients, never with an address. Pure: a model in, an answer out."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.config import JsonDict

from notification_service.model import Kind, Notice, Status
from notification_service.templates import Text
from sagastream.answers import Answer, Moment, instant
from sagastream.pages import EXAMPLE_CURSOR

_EXAMPLE_NOTICE: JsonDict = {
    "kind": "Confirmation",
    "status": "Sent",
    "channel": "email",
    "messageId": "<3f9d2c1b7a60e5d4c8b1a2903f9d2c1b@shop.example.org>",
    "reason": "",
    "decidedAt": "2026-01-31T12:00:00.612Z",
}
_EXAMPLE_ORDER: JsonDict = {"orderId": "388292668e9a475180f2f4ab76ae0a0a"}


class NoticeView(Answer):
    """One notice; ``reason`` is why it was refused for good."""

    kind: Kind
    status: Status
    channel: str
    message_id: str
    reason: str
    decided_at: Moment


class NotificationsView(Answer):
    """The notices to an order's customer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_EXAMPLE_ORDER, "notices": [_EXAMPLE_NOTICE]}]})

    order_id: str
    notices: tuple[NoticeView, ...]


class NotificationPageView(Answer):
    """Notices to customers, latest first; ``next`` is the cursor of the following page, null on the last one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"notifications": [{**_EXAMPLE_ORDER, "notices": [_EXAMPLE_NOTICE]}], "next": EXAMPLE_CURSOR}]
        }
    )

    notifications: list[NotificationsView]
    next: str | None


class MessageView(Answer):
    """A message as it was written, without the recipient's address."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_EXAMPLE_ORDER,
                    **_EXAMPLE_NOTICE,
                    "subject": "Your order 388292668e9a475180f2f4ab76ae0a0a is confirmed",
                    "text": "Good day,\n\nyour order 388292668e9a475180f2f4ab76ae0a0a is confirmed. …",
                    "html": "<!doctype html>…",
                }
            ]
        }
    )

    order_id: str
    kind: Kind
    status: Status
    channel: str
    message_id: str
    reason: str
    decided_at: Moment
    subject: str
    text: str
    html: str


def notices_view(order_id: str, notices: tuple[Notice, ...]) -> NotificationsView:
    """Return an order's notices as clients see them."""
    return NotificationsView(order_id=order_id, notices=tuple(notice_view(notice) for notice in notices))


def notice_view(notice: Notice) -> NoticeView:
    """Return a notice as clients see it."""
    return NoticeView(
        kind=notice.kind,
        status=notice.status,
        channel=notice.channel,
        message_id=notice.message_id,
        reason=notice.reason,
        decided_at=instant(notice.decided_ms),
    )


def message_view(notice: Notice, text: Text) -> MessageView:
    """Return a notice with its text."""
    return MessageView(
        order_id=notice.order_id,
        **dict(notice_view(notice)),
        subject=text.subject,
        text=text.body,
        html=text.html,
    )
