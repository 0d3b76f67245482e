"""The stock routes: look, add a product, restock. Speaks HTTP; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from money import Currency
from sagastream import Conflict, Entrance
from sagastream.envelope import derived_id
from sagastream.problems import Problem
from stock_service import store
from stock_service.model import Level

MAX_PIECES = 1_000_000_000
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
IdempotencyKey = Annotated[
    str | None,
    Header(pattern=r"^[\x21-\x7e]{1,255}$", description="the same key twice is the same delivery"),
]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class ProductRequest(_Request):
    """A product a store is to carry; ``unitPrice`` is a decimal string, absent for any price."""

    quantity: Annotated[int, Field(ge=0, le=MAX_PIECES)]
    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    unit_price: str | None = Field(default=None, alias="unitPrice")


class RestockRequest(_Request):
    """Pieces that arrived."""

    quantity: Annotated[int, Field(ge=1, le=MAX_PIECES)]


class LevelView(_Answer):
    """What a store has of a product; ``available + reserved = initial + restocked``."""

    store_id: str
    product_id: str
    name: str
    unit_price: str | None
    available: int
    reserved: int
    initial: int
    restocked: int


class StoreView(_Answer):
    """What a store carries, oldest product first; ``next`` is the ``start`` of the next page."""

    store_id: str
    products: list[LevelView]
    next: int | None


@dataclass(frozen=True)
class Shelf:
    """What the routes need: where levels are read and changed, and the currency of their prices."""

    entrance: Entrance
    currency: Currency


def stock_routes(shelf: Shelf) -> APIRouter:
    """Return the routes that show and change what stores have."""
    router = APIRouter(tags=["stock"], prefix="/api/stock")

    @router.get("/{store_id}", operation_id="listStock")
    async def show_store(
        store_id: Id,
        start: Annotated[int, Query(ge=0, le=10**9)] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> StoreView:
        """Show what a store carries."""
        key = store.products_key(store_id)
        products = await shelf.entrance.reader.members(key, start=start, count=limit + 1, newest_first=False)
        if not products and start == 0:
            raise Problem(404, f"there is no store {store_id}")
        levels = await store.load_levels(shelf.entrance.reader, store_id, products[:limit])
        return StoreView(
            store_id=store_id,
            products=[_view(level, shelf) for level in levels.values()],
            next=start + limit if len(products) > limit else None,
        )

    @router.get("/{store_id}/{product_id}", operation_id="getStock")
    async def show(store_id: Id, product_id: Id) -> LevelView:
        """Show what a store has of a product."""
        return _view(await _existing(shelf, store_id, product_id), shelf)

    @router.put("/{store_id}/{product_id}", operation_id="putStock", responses={201: {"model": LevelView}})
    async def put(store_id: Id, product_id: Id, asked: ProductRequest, response: Response) -> LevelView:
        """Carry a product, or change the name and price of a known one; its pieces change by restocking."""
        level = Level(
            store_id=store_id,
            product_id=product_id,
            name=asked.name or product_id,
            available=asked.quantity,
            initial=asked.quantity,
            price_cents=_price(asked.unit_price, shelf.currency),
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
            described = replace(known, name=level.name, price_cents=level.price_cents)
            await shelf.entrance.change(lambda tx: store.describe(tx, described))
            return _view(described, shelf)
        response.status_code = 201
        return _view(level, shelf)

    @router.post("/{store_id}/{product_id}/restock", operation_id="restock")
    async def restock(
        store_id: Id, product_id: Id, asked: RestockRequest, idempotency_key: IdempotencyKey = None
    ) -> LevelView:
        """Add pieces that arrived; with an `Idempotency-Key` a repeated request adds them once."""
        known = await _existing(shelf, store_id, product_id)
        delivery = None if idempotency_key is None else derived_id("delivery", idempotency_key)
        try:
            await shelf.entrance.change(lambda tx: store.restock(tx, known, asked.quantity, delivery))
        except Conflict:
            if delivery is None or await _delivered(shelf, known, delivery) != asked.quantity:
                raise Problem(422, "this Idempotency-Key was used for another delivery; use a new one") from None
        return _view(await _existing(shelf, store_id, product_id), shelf)

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


def _view(level: Level, shelf: Shelf) -> LevelView:
    return LevelView(
        store_id=level.store_id,
        product_id=level.product_id,
        name=level.name,
        unit_price=None if level.price_cents is None else shelf.currency.show(level.price_cents),
        available=level.available,
        reserved=level.reserved,
        initial=level.initial,
        restocked=level.restocked,
    )
