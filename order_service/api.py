"""The order routes. Speaks HTTP; decides nothing.

The routes that take a body read it from its bytes, because the framework's parser would turn amounts into ``float``;
their errors have the same form as everywhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, TypeVar

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from order_service import answers, desk, handlers, requests, store
from order_service.answers import Accepted, OrdersView, OrderView
from order_service.course import CourseView, course
from order_service.desk import Desk
from order_service.exact_json import NotExactJson
from order_service.model import Order, Status
from order_service.requests import CancelRequest, OrderRequest, UserOrderRequest
from sagastream import pages
from sagastream.documented import located, problems
from sagastream.errors import SagastreamError
from sagastream.measured import held_back
from sagastream.problems import Problem

Asked = TypeVar("Asked")


_ID = r"^[A-Za-z0-9_-]{1,64}$"
OrderId = Annotated[str, Path(alias="orderId", pattern=_ID, examples=["388292668e9a475180f2f4ab76ae0a0a"])]
UserId = Annotated[str, Path(alias="userId", pattern=_ID, examples=["customer-1"])]
IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="the same key within 7 days is the same order; for another body it is refused",
    ),
]
Wait = Annotated[float, Query(ge=0, le=30, description="seconds to wait for the end of the saga")]
Cursor = Annotated[pages.Cursor | None, Query(description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]
_PLACING = problems({422: "A field is wrong, or the key stands for another request"}, takes_body=True)
_PLACING[200] = {"model": Accepted, "description": "The saga has ended (only with `wait`)", **located("its saga")}
_PLACING[202] = located("its saga")
_NO_ORDER = {404: "There is no such order"}
_CANCELLING = {**_NO_ORDER, 409: "The order is confirmed, or its saga is forgotten or was closed by a person"}


def order_routes(at: Desk) -> APIRouter:
    """Return the routes that take, show and cancel orders."""
    router = APIRouter(tags=["orders"])

    @router.post(
        "/api/orders/choreographed-saga",
        status_code=202,
        responses=_PLACING,
        operation_id="placeOrder",
        openapi_extra=_body(OrderRequest, requests.EXAMPLE_ORDER),
    )
    async def place(
        request: Request, response: Response, idempotency_key: IdempotencyKey = None, wait: Wait = 0
    ) -> Accepted:
        """Accept an order and begin its saga, which decides it later; `Location` names the saga's state.

        With `wait` the answer is delayed until the saga has ended (200), at most that many seconds (202).
        """
        body = await request.body()
        asked = _read(lambda: requests.read_order(body, at.currency, at.tolerance_cents))
        order = await desk.take(desk.order_of(asked, at, idempotency_key), idempotency_key, at)
        response.headers["Location"] = answers.state_path(order.saga_id)
        return await _accepted(order, wait, request, response)

    @router.post(
        "/api/orders",
        status_code=202,
        responses=_PLACING,
        operation_id="placeUserOrder",
        openapi_extra=_body(UserOrderRequest, requests.EXAMPLE_USER_ORDER),
    )
    async def place_for_user(
        request: Request, response: Response, idempotency_key: IdempotencyKey = None, wait: Wait = 0
    ) -> Accepted:
        """Accept an order; its store and payment method are the shop's defaults, its total the sum of its lines."""
        body = await request.body()
        asked = _read(lambda: requests.read_user_order(body, at.currency))
        order = await desk.take(desk.order_of_user(asked, at, idempotency_key), idempotency_key, at)
        response.headers["Location"] = answers.course_path(order.id)
        return await _accepted(order, wait, request, response)

    @router.get("/api/orders/user/{userId}", operation_id="listOrdersOfUser", responses=problems())
    async def show_all(user_id: UserId, cursor: Cursor = None, limit: Limit = 50) -> OrdersView:
        """Show a user's orders, newest first; the list is empty for a user who never ordered."""
        page = await pages.read_page(at.entrance.reader, store.customer_key(user_id), cursor, limit)
        found = await asyncio.gather(*(store.load(at.entrance.reader, order_id) for order_id in page.members))
        return OrdersView(orders=[answers.view(order) for order in found if order], next=page.cursor)

    @router.get("/api/orders/{orderId}", operation_id="getOrder", responses=problems(_NO_ORDER))
    async def show(order_id: OrderId) -> OrderView:
        """Show an order."""
        return answers.view(await desk.existing(order_id, at))

    @router.get("/api/orders/{orderId}/saga", operation_id="getOrderSaga", responses=problems(_NO_ORDER))
    async def show_course(order_id: OrderId) -> CourseView:
        """Show the status of an order's saga and its history so far."""
        order = await desk.existing(order_id, at)
        found = await at.sagas.whole(order.saga_id)
        shown = course(order, *((found[0].record, found[1]) if found else (None, [])))
        if shown is None:
            raise Problem(404, f"order {order_id} is settled, and the record of its saga is no longer kept")
        return shown

    @router.post(
        "/api/orders/{orderId}/cancel",
        status_code=202,
        responses={**problems(_CANCELLING, takes_body=True), 202: located("its saga")},
        operation_id="cancelOrder",
        openapi_extra=_body(CancelRequest, {"reason": "ordered twice"}, is_required=False),
    )
    async def cancel(order_id: OrderId, request: Request, response: Response) -> Accepted:
        """Bar the order's confirmation and request that everything is undone; 409 once the order is confirmed.

        Also 409 if a person closed its saga: nothing is requested then, because nobody would undo it.
        """
        body = await request.body()
        asked = _read(lambda: requests.read_cancellation(body))
        order = await desk.existing(order_id, at)
        if order.status is Status.PENDING and await desk.is_closed_by_a_person(order, at):
            raise Problem(409, f"the saga of order {order_id} was closed by a person, whom to ask what becomes of it")
        if order.status is not Status.CANCELLED:  # perhaps cancelled so long ago that its ledger entry has expired
            is_in_time = await handlers.ask_to_cancel(order, asked.reason, at.entrance)
            order = await desk.existing(order_id, at)  # its saga may have been compensated since the first read
            if not is_in_time and order.status is not Status.CANCELLED:
                raise Problem(409, f"order {order_id} {_why_not(order)} and cannot be cancelled any more")
        response.headers["Location"] = answers.state_path(order.saga_id)
        return _told(order)

    async def _accepted(order: Order, wait: float, request: Request, response: Response) -> Accepted:
        if wait:
            held_back(request.scope)
        # The order is placed, whatever fails from here: an error would make the client place it again.
        with suppress(SagastreamError):
            if wait and await at.endings.wait(order.saga_id, timedelta(seconds=wait)) is not None:
                order = await desk.existing(order.id, at)
                response.status_code = 200
        return _told(order)

    return router


def _told(order: Order) -> Accepted:
    return Accepted(order_id=order.id, saga_id=order.saga_id, status=order.status)


def _why_not(order: Order) -> str:
    if order.status is Status.CONFIRMED:
        return "is confirmed"
    return "is so old that nothing remembers its saga"


def _read(read: Callable[[], Asked]) -> Asked:
    try:
        return read()
    except NotExactJson as error:
        raise Problem(400, f"{error}") from None
    except requests.Invalid as invalid:
        raise RequestValidationError(
            [{"loc": ("body", *error.at), "msg": error.message, "type": "value_error"} for error in invalid.errors]
        ) from None


def _body(model: type[BaseModel], example: object, *, is_required: bool = True) -> dict[str, object]:
    schema = model.model_json_schema()
    for line in schema.pop("$defs", {}).values():  # the framework does not read this body, so it would not publish
        schema["properties"]["items"]["items"] = line  # the one nested model either
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": is_required, "content": content}}
