"""The notification service's part in the saga: notify the customer how it ended."""

from __future__ import annotations

from events import (
    CancellationNoticeSent,
    NotificationFailed,
    NotificationSent,
    OrderCancelled,
    OrderConfirmed,
)
from notification_service import model, store, templates
from notification_service.channels import Channel
from notification_service.model import Kind, Status
from sagastream import Participant, Transaction
from sagastream.tracing import calling

notification = Participant("notification")


@notification.on(OrderConfirmed, outside=True)
async def notify(confirmed: OrderConfirmed, tx: Transaction, channel: Channel) -> NotificationSent | NotificationFailed:
    """Notify the customer that the order is confirmed."""
    text = templates.confirmation(confirmed.order_id, confirmed.total_cents, confirmed.currency)

    with calling(notification.name, "send mail"):
        answer = await channel.send(model.message(tx.key, confirmed.order_id, confirmed.email, text, tx.now_ms))

    told = model.notice(
        confirmed.order_id,
        Kind.CONFIRMATION,
        answer,
        tx.now_ms,
        total_cents=confirmed.total_cents,
        currency=confirmed.currency,
    )
    store.save(tx, told)
    if told.status is Status.REFUSED:
        return NotificationFailed(order_id=told.order_id, reason=told.reason)
    return NotificationSent(order_id=told.order_id, channel=told.channel)


@notification.on(OrderCancelled, outside=True)
async def tell_cancelled(cancelled: OrderCancelled, tx: Transaction, channel: Channel) -> CancellationNoticeSent | None:
    """Notify the customer that the order is cancelled; a refusal for good is stored but not published."""
    text = templates.cancellation(cancelled.order_id)

    with calling(notification.name, "send mail"):
        answer = await channel.send(model.message(tx.key, cancelled.order_id, cancelled.email, text, tx.now_ms))

    told = model.notice(cancelled.order_id, Kind.CANCELLATION, answer, tx.now_ms)
    store.save(tx, told)
    if told.status is Status.REFUSED:
        return None
    return CancellationNoticeSent(order_id=told.order_id, channel=told.channel)
