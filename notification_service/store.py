"""Notices in Redis: model ↔ hash. Owns the names and fields below; decides nothing.

| name under ``{notification}`` | type | fields / members                            | life     |
|-------------------------------|------|---------------------------------------------|----------|
| ``notification:<order id>``   | hash | ``<kind>.<field of the model>``, each kind  | for ever |
| ``notifications``             | zset | order id, score: decided ms                 | for ever |

No address and no text is kept here; the text is derived from the model's fields.
"""

from __future__ import annotations

from notification_service.model import Kind, Notice, Status
from sagastream import Transaction
from sagastream.reader import Reads

NOTIFICATIONS = "notifications"


def notification_key(order_id: str) -> str:
    """Name the hash of one order's notices."""
    return f"notification:{order_id}"


async def load(reads: Reads, order_id: str) -> tuple[Notice, ...]:
    """Return an order's notices; none while no notice is decided."""
    fields = await reads.read_all(notification_key(order_id))
    return tuple(_notice(order_id, kind, fields) for kind in Kind if f"{kind}.status" in fields)


def save(tx: Transaction, notice: Notice) -> None:
    """Write the outcome of a notice, beside those of another kind."""
    fields: dict[str, str | int] = {
        "status": notice.status.value,
        "channel": notice.channel,
        "decided_ms": notice.decided_ms,
        "message_id": notice.message_id,
        "reason": notice.reason,
        "template": notice.template,
        "total_cents": notice.total_cents,
        "currency": notice.currency,
    }
    tx.set(notification_key(notice.order_id), {f"{notice.kind}.{name}": value for name, value in fields.items()})
    tx.schedule(NOTIFICATIONS, notice.order_id, notice.decided_ms)


def _notice(order_id: str, kind: Kind, fields: dict[str, str]) -> Notice:
    return Notice(
        order_id=order_id,
        kind=kind,
        status=Status(fields[f"{kind}.status"]),
        channel=fields[f"{kind}.channel"],
        decided_ms=int(fields[f"{kind}.decided_ms"]),
        message_id=fields[f"{kind}.message_id"],
        reason=fields[f"{kind}.reason"],
        template=int(fields[f"{kind}.template"]),
        total_cents=int(fields[f"{kind}.total_cents"]),
        currency=fields[f"{kind}.currency"],
    )
