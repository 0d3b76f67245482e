"""The notification routes. Speaks HTTP; decides nothing."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query

from notification_service import model, store
from notification_service.answers import (
    MessageView,
    NotificationPageView,
    NotificationsView,
    message_view,
    notices_view,
)
from notification_service.model import Kind
from sagastream import Reader, pages
from sagastream.documented import problems
from sagastream.problems import Problem

OrderId = Annotated[
    str,
    Path(alias="orderId", pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["388292668e9a475180f2f4ab76ae0a0a"]),
]
Cursor = Annotated[pages.Cursor | None, Query(description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]
_NOTHING = {404: "Nobody was told anything about this order yet, or there is no such order"}


def notification_routes(reader: Reader) -> APIRouter:
    """Return the routes that show notifications."""
    router = APIRouter(tags=["notifications"])

    @router.get("/api/notifications", operation_id="listNotifications", responses=problems())
    async def show_all(cursor: Cursor = None, limit: Limit = 50) -> NotificationPageView:
        """Show the notices to customers, latest first."""
        page = await pages.read_page(reader, store.NOTIFICATIONS, cursor, limit)
        found = await asyncio.gather(*(store.load(reader, order_id) for order_id in page.members))
        told = zip(page.members, found, strict=True)
        return NotificationPageView(
            notifications=[notices_view(order_id, notices) for order_id, notices in told], next=page.cursor
        )

    @router.get("/api/notifications/{orderId}", operation_id="getNotifications", responses=problems(_NOTHING))
    async def show(order_id: OrderId) -> NotificationsView:
        """Show the notices to an order's customer; 404 while no notice is decided."""
        found = await store.load(reader, order_id)
        if not found:
            raise Problem(404, f"nobody was told anything about order {order_id} yet, or there is no such order")
        return notices_view(order_id, found)

    @router.get("/api/notifications/{orderId}/{kind}", operation_id="getMessage", responses=problems(_NOTHING))
    async def show_message(order_id: OrderId, kind: Annotated[Kind, Path(description="which of them")]) -> MessageView:
        """Show a message as it was written: subject, text and HTML, never the recipient's address."""
        found = await store.load(reader, order_id)
        notice = next((one for one in found if one.kind is kind), None)
        if notice is None:
            raise Problem(404, f"no {kind.lower()} of order {order_id} was sent yet, or there is no such order")
        text = model.text(notice)
        if text is None:
            raise Problem(404, f"the {kind.lower()} of order {order_id} was written from words no longer kept")
        return message_view(notice, text)

    return router
