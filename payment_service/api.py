"""The payment routes. Speaks HTTP; decides nothing."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query

from payment_service import store
from payment_service.answers import PaymentsView, PaymentView, view
from sagastream import Reader, pages
from sagastream.documented import problems
from sagastream.problems import Problem

OrderId = Annotated[
    str,
    Path(alias="orderId", pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["388292668e9a475180f2f4ab76ae0a0a"]),
]
Cursor = Annotated[pages.Cursor | None, Query(description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]


def payment_routes(reader: Reader) -> APIRouter:
    """Return the routes that show payments."""
    router = APIRouter(tags=["payments"])

    @router.get("/api/payments", operation_id="listPayments", responses=problems())
    async def show_all(cursor: Cursor = None, limit: Limit = 50) -> PaymentsView:
        """Show payments, latest decision first; a refund is shown with its payment."""
        page = await pages.read_page(reader, store.PAYMENTS, cursor, limit)
        found = await asyncio.gather(*(store.load(reader, order_id) for order_id in page.members))
        return PaymentsView(payments=[view(payment) for payment in found if payment], next=page.cursor)

    @router.get(
        "/api/payments/{orderId}",
        operation_id="getPayment",
        responses=problems({404: "Nothing is decided about this order's payment, or there is no such order"}),
    )
    async def show(order_id: OrderId) -> PaymentView:
        """Show an order's payment; 404 while it is undecided."""
        found = await store.load(reader, order_id)
        if found is None:
            raise Problem(404, f"no payment of order {order_id} is decided yet, or there is no such order")
        return view(found)

    return router
