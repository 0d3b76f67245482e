"""The order routes. Speaks HTTP; decides nothing.

The body of an order is read here from its bytes, because the framework's parser would turn its amounts into
``float``; the errors look as everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, TypeVar
from uuid import uuid4

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from events import OrderCreated
from money import Currency
from order_service import answers, handlers, requests, store
from order_service.answers import Accepted, OrderView
from order_service.exact_json import NotExactJson
from order_service.model import Line, Order, Status
from order_service.requests import CancelRequest, OrderRequest
from sagastream import Conflict, Entrance
from sagastream.endings import Endings
from sagastream.envelope import derived_id
from sagastream.problems import Problem

Asked = TypeVar("Asked")
OrderId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
IdempotencyKey = Annotated[
    str | None,
    Header(pattern=r"^[\x21-\x7e]{1,255}$", description="the same key twice is the same order"),
]

Wait = Annotated[float, Query(ge=0, le=30, description="seconds to wait for the end of the saga")]


@dataclass(frozen=True)
class Desk:
    """What the routes need: where sagas begin and orders are read, and the shop's rules about money."""

    entrance: Entrance
    endings: Endings
    currency: Currency
    tolerance_cents: int
    new_id: Callable[[], str] = lambda: uuid4().hex


def order_routes(desk: Desk) -> APIRouter:
    """Return the routes that take, show and cancel orders."""
    router = APIRouter(tags=["orders"])

    @router.post(
        "/api/orders/choreographed-saga",
        status_code=202,
        responses={200: {"model": Accepted, "description": "The saga has ended (only with `wait`)"}},
        operation_id="placeOrder",
        openapi_extra=_body(OrderRequest, is_required=True),
    )
    async def place(
        request: Request, response: Response, idempotency_key: IdempotencyKey = None, wait: Wait = 0
    ) -> Accepted:
        """Take an order and begin its saga; it is decided later, `Location` tells where to look.

        With `wait` the answer is held back until the saga has ended (200), for so many seconds at most (202).
        """
        asked = _read(lambda body: requests.read_order(body, desk.currency, desk.tolerance_cents), await request.body())
        order_id = desk.new_id() if idempotency_key is None else derived_id("order", idempotency_key)
        order = _order(asked, order_id, desk.entrance.saga_id(OrderCreated, order_id), desk.currency)
        status = await _placed(desk, order)
        response.headers["Location"] = answers.state_path(order.saga_id)
        if wait and await desk.endings.wait(order.saga_id, timedelta(seconds=wait)) is not None:
            response.status_code = 200
            status = (await _existing(desk, order.id)).status
        return Accepted(order_id=order.id, saga_id=order.saga_id, status=status)

    @router.get("/api/orders/{order_id}", operation_id="getOrder")
    async def show(order_id: OrderId) -> OrderView:
        """Show an order."""
        return answers.view(await _existing(desk, order_id))

    @router.post(
        "/api/orders/{order_id}/cancel",
        status_code=202,
        operation_id="cancelOrder",
        openapi_extra=_body(CancelRequest, is_required=False),
    )
    async def cancel(order_id: OrderId, request: Request, response: Response) -> Accepted:
        """Forbid the confirmation and ask for everything to be undone; 409 once the order is confirmed."""
        asked = _read(requests.read_cancellation, await request.body())
        order = await _existing(desk, order_id)
        is_cancelled = order.status is Status.CANCELLED  # long ago, perhaps, when no ledger remembers it any more
        if not is_cancelled and not await handlers.ask_to_cancel(order, asked.reason, desk.entrance):
            raise Problem(409, f"order {order_id} is confirmed and cannot be cancelled any more")
        response.headers["Location"] = answers.state_path(order.saga_id)
        return Accepted(order_id=order.id, saga_id=order.saga_id, status=order.status)

    return router


async def _placed(desk: Desk, order: Order) -> Status:
    # Two requests with one key may arrive together: one commit wins, and the other finds the ledger entry,
    # or, when that has expired, the order itself.
    try:
        begun = await handlers.place(order, desk.entrance)
        if not begun.repeated:
            return order.status
    except Conflict:
        pass
    stored = await _existing(desk, order.id)
    if stored.request != order.request:
        raise Problem(422, "this Idempotency-Key was used for another order; use a new one")
    return stored.status


async def _existing(desk: Desk, order_id: str) -> Order:
    found = await store.load(desk.entrance.reader, order_id)
    if found is None:
        raise Problem(404, f"there is no order {order_id}")
    return found


def _order(asked: OrderRequest, order_id: str, saga_id: str, currency: Currency) -> Order:
    return Order(
        id=order_id,
        saga_id=saga_id,
        customer_id=asked.customer_id,
        store_id=asked.store_id,
        payment_method=asked.payment_method,
        total_cents=asked.total_amount_cents,
        currency=currency.code,
        lines=tuple(Line(line.product_id, line.quantity, line.unit_price_cents) for line in asked.items),
        email=asked.email,
        request=derived_id("request", asked.model_dump_json()),
    )


def _read(read: Callable[[bytes], Asked], body: bytes) -> Asked:
    try:
        return read(body)
    except NotExactJson as error:
        raise Problem(400, f"{error}") from None
    except requests.Invalid as invalid:
        raise RequestValidationError(
            [{"loc": ("body", *error.at), "msg": error.message, "type": "value_error"} for error in invalid.errors]
        ) from None


def _body(model: type[OrderRequest] | type[CancelRequest], *, is_required: bool) -> dict[str, object]:
    schema = model.model_json_schema()
    if "$defs" in schema:  # the framework does not read this body, so nobody else would publish its parts
        schema["properties"]["items"]["items"] = schema.pop("$defs")["LineRequest"]
    return {"requestBody": {"required": is_required, "content": {"application/json": {"schema": schema}}}}
