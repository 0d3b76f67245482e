"""The stock routes: show levels, add a product, restock, show reservations. Speaks HTTP; decides nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from money import Currency
from sagastream import Conflict, Entrance
from sagastream.admission import NOT_ADMITTED, Admission
from sagastream.clock import ms_of
from sagastream.documented import problems
from sagastream.envelope import derived_id
from sagastream.problems import Problem
from stock_service import store
from stock_service.answers import LevelView, ReservationView, StoreView, level_view, reservation_view
from stock_service.model import Level

MAX_PIECES = 1_000_000_000
MOST_PIECES = 10**14  # of a product in a store; far below the largest counter, so a reservation can always be put back
_ID = r"^[A-Za-z0-9_-]{1,64}$"
StoreId = Annotated[str, Path(alias="storeId", pattern=_ID, examples=["store-1"])]
ProductId = Annotated[str, Path(alias="productId", pattern=_ID, examples=["product-1"])]
OrderId = Annotated[str, Path(alias="orderId", pattern=_ID, examples=["388292668e9a475180f2f4ab76ae0a0a"])]
IdempotencyKey = Annotated[
    str | None,
    Header(pattern=r"^[\x21-\x7e]{1,255}$", description="the same key within 7 days is the same delivery"),
]
Start = Annotated[int, Query(ge=0, le=10**9, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]
Price = Annotated[str, WithJsonSchema({"type": "string", "pattern": r"^(0|[1-9][0-9]{0,9})(\.[0-9]{1,3})?$"})]
_NO_PRODUCT = {404: "The store does not carry this product"}


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ProductRequest(_Request):
    """A product for a store; ``unitPrice`` is a decimal string, and without it any price is accepted."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"quantity": 10_000, "name": "Espresso machine", "unitPrice": "149.99"}]}
    )

    quantity: Annotated[int, Field(ge=0, le=MAX_PIECES)]
    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    unit_price: Price | None = Field(default=None, alias="unitPrice")


class RestockRequest(_Request):
    """A delivery of pieces."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quantity": 50}]})

    quantity: Annotated[int, Field(ge=1, le=MAX_PIECES)]


@dataclass(frozen=True)
class Shelf:
    """What the routes need: access to levels, the currency of prices, and the check of who may change them."""

    entrance: Entrance
    currency: Currency
    admission: Admission


def stock_routes(shelf: Shelf) -> APIRouter:
    """Return the routes that show and change stock."""
    router = APIRouter(tags=["stock"], prefix="/api/stock")

    reader = shelf.entrance.reader
    for_staff = [Depends(shelf.admission.staff)]

    @router.get("/{storeId}", operation_id="listStock", responses=problems({404: "There is no such store"}))
    async def show_store(store_id: StoreId, start: Start = 0, limit: Limit = 50) -> StoreView:
        """Show the products of a store and their stock."""
        key = store.products_key(store_id)
        products = await reader.members(key, start=start, count=limit + 1, newest_first=False)
        if not products and not await reader.members(key, count=1):
            raise Problem(404, f"there is no store {store_id}")
        levels = await store.load_levels(reader, store_id, products[:limit])
        return StoreView(
            store_id=store_id,
            products=[level_view(level, shelf.currency) for level in levels.values()],
            next=start + limit if len(products) > limit else None,
        )

    @router.get("/{storeId}/{productId}", operation_id="getStock", responses=problems(_NO_PRODUCT))
    async def show(store_id: StoreId, product_id: ProductId) -> LevelView:
        """Show a store's stock of one product."""
        return level_view(await _existing(shelf, store_id, product_id), shelf.currency)

    @router.put(
        "/{storeId}/{productId}",
        operation_id="putStock",
        dependencies=for_staff,
        responses={
            **problems(
                {**NOT_ADMITTED, 409: "The store carries it already, begun with another quantity"}, takes_body=True
            ),
            201: {"model": LevelView, "description": "The store carries it from now on"},
        },
    )
    async def put(store_id: StoreId, product_id: ProductId, asked: ProductRequest, response: Response) -> LevelView:
        """Add a product, or change the name and price of an existing one; its pieces change only by restocking."""
        level = Level(
            store_id=store_id,
            product_id=product_id,
            name=asked.name or product_id,
            available=asked.quantity,
            initial=asked.quantity,
            price_cents=_price(asked.unit_price, shelf.currency),
            currency=shelf.currency.code,
        )
        try:
            await shelf.entrance.change(lambda tx: store.add_level(tx, level))
        except Conflict:
            known = await _existing(shelf, store_id, product_id)
            if known.initial != level.initial:
                raise Problem(
                    409,
                    f"{store_id} already carries {product_id}, begun with {known.initial} pieces; restock it instead",
                ) from None
            described = replace(known, name=level.name, price_cents=level.price_cents, currency=level.currency)
            await shelf.entrance.change(lambda tx: store.describe(tx, described))
            return level_view(described, shelf.currency)
        response.status_code = 201
        return level_view(level, shelf.currency)

    @router.post(
        "/{storeId}/{productId}/restock",
        operation_id="restock",
        dependencies=for_staff,
        responses=problems(
            {
                **NOT_ADMITTED,
                **_NO_PRODUCT,
                422: "A field is wrong, it is too much, or the key stands for another delivery",
            },
            takes_body=True,
        ),
    )
    async def restock(
        store_id: StoreId, product_id: ProductId, asked: RestockRequest, idempotency_key: IdempotencyKey = None
    ) -> LevelView:
        """Add delivered pieces; repeated requests with the same `Idempotency-Key` add them once."""
        known = await _existing(shelf, store_id, product_id)
        delivery = None if idempotency_key is None else derived_id("delivery", idempotency_key)
        is_new = delivery is None or await _delivered(shelf, known, delivery) is None
        if is_new and known.available + known.reserved + asked.quantity > MOST_PIECES:
            raise Problem(422, f"{store_id} would have more than {MOST_PIECES} pieces of {product_id}")
        try:
            await shelf.entrance.change(lambda tx: store.restock(tx, known, asked.quantity, delivery))
        except Conflict:
            if delivery is None or await _delivered(shelf, known, delivery) != asked.quantity:
                raise Problem(422, "this Idempotency-Key was used for another delivery; use a new one") from None
        return level_view(await _existing(shelf, store_id, product_id), shelf.currency)

    @router.get(
        "/orders/{orderId}/reservation",
        operation_id="getReservation",
        responses=problems({404: "Nothing is or was held for this order"}),
    )
    async def show_reservation(order_id: OrderId) -> ReservationView:
        """Show an order's reservation, held or released, and how long it has been or was held."""
        found, now = await asyncio.gather(store.load_reservation(reader, order_id), reader.command("TIME"))
        if found is None:
            raise Problem(404, f"nothing is or was held for order {order_id}")
        return reservation_view(found, ms_of(now))

    return router


async def _existing(shelf: Shelf, store_id: str, product_id: str) -> Level:
    level = await store.load_level(shelf.entrance.reader, store_id, product_id)
    if level is None:
        raise Problem(404, f"store {store_id} does not carry product {product_id}")
    return level


async def _delivered(shelf: Shelf, level: Level, delivery: str) -> int | None:
    key = store.delivery_key(level.store_id, level.product_id, delivery)
    (quantity,) = await shelf.entrance.reader.read(key, "quantity")
    return None if quantity is None else int(quantity)


def _price(literal: str | None, currency: Currency) -> int | None:
    if literal is None:
        return None
    try:
        return currency.parse(literal)
    except ValueError as error:
        raise RequestValidationError(
            [{"loc": ("body", "unitPrice"), "msg": str(error), "type": "value_error"}]
        ) from None
