"""The notification routes. Speaks HTTP; decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from notification_service import store
from notification_service.model import Kind, Notice, Status
from notification_service.store import Reads
from sagastream.problems import Problem

OrderId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class NoticeView(BaseModel):
    """One notice as shown: never the address it went to."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    kind: Kind
    status: Status
    channel: str
    message_id: str
    reason: str
    decided_at: AwareDatetime


class NotificationsView(BaseModel):
    """What an order's customer was told."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    order_id: str
    notices: tuple[NoticeView, ...]


def notification_routes(reads: Reads) -> APIRouter:
    """Return the routes that show notifications."""
    router = APIRouter(tags=["notifications"])

    @router.get("/api/notifications/{order_id}", operation_id="getNotifications")
    async def show(order_id: OrderId) -> NotificationsView:
        """Show what an order's customer was told; 404 while nothing is decided."""
        found = await store.load(reads, order_id)
        if not found:
            raise Problem(404, f"nobody was told anything about order {order_id} yet, or there is no such order")
        return NotificationsView(order_id=order_id, notices=tuple(view(notice) for notice in found))

    return router


def view(notice: Notice) -> NoticeView:
    """Return a notice as shown."""
    seconds, rest = divmod(notice.decided_ms, 1000)
    return NoticeView(
        kind=notice.kind,
        status=notice.status,
        channel=notice.channel,
        message_id=notice.message_id,
        reason=notice.reason,
        decided_at=datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000),
    )
