"""The answers that show stock to clients. Pure: a model in, an answer out."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.config import JsonDict

from money import Currency
from money import currency as currency_of
from sagastream.answers import Answer, Moment, instant, moment
from stock_service.model import Level, Reservation, ReservationStatus

_EXAMPLE_LEVEL: JsonDict = {
    "storeId": "store-1",
    "productId": "product-1",
    "name": "Espresso machine",
    "unitPrice": "149.99",
    "currency": "EUR",
    "available": 9998,
    "reserved": 2,
    "initial": 10000,
    "restocked": 0,
}
_EXAMPLE_RESERVATION: JsonDict = {
    "orderId": "388292668e9a475180f2f4ab76ae0a0a",
    "sagaId": "08d2ff4e32273c7fd87def91dfbbc7ee",
    "storeId": "store-1",
    "status": "Released",
    "items": [{"productId": "product-1", "quantity": 2}],
    "since": "2026-01-31T12:00:00.562Z",
    "releasedAt": "2026-01-31T12:00:13.062Z",
    "ageSeconds": 12.5,
}


class LevelView(Answer):
    """A store's stock of one product; ``available + reserved = initial + restocked``.

    ``currency`` is the currency of the price: the shop's, unless the shop changed its currency after pricing.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_LEVEL]})

    store_id: str
    product_id: str
    name: str
    unit_price: str | None
    currency: str | None
    available: int
    reserved: int
    initial: int
    restocked: int


class StoreView(Answer):
    """The products of a store, oldest first; ``next`` is the ``start`` of the next page."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"storeId": "store-1", "products": [_EXAMPLE_LEVEL], "next": 50}]}
    )

    store_id: str
    products: list[LevelView]
    next: int | None


class PiecesView(Answer):
    """A number of pieces of one product."""

    product_id: str
    quantity: int


class ReservationView(Answer):
    """An order's reservation; ``ageSeconds`` is how long it has been held, or was until its release."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_RESERVATION]})

    order_id: str
    saga_id: str
    store_id: str
    status: ReservationStatus
    items: list[PiecesView]
    since: Moment
    released_at: Moment | None
    age_seconds: float


def level_view(level: Level, currency: Currency) -> LevelView:
    """Return a stock level as clients see it."""
    priced_in = currency_of(level.currency) if level.currency else currency
    return LevelView(
        store_id=level.store_id,
        product_id=level.product_id,
        name=level.name,
        unit_price=None if level.price_cents is None else priced_in.show(level.price_cents),
        currency=None if level.price_cents is None else priced_in.code,
        available=level.available,
        reserved=level.reserved,
        initial=level.initial,
        restocked=level.restocked,
    )


def reservation_view(reservation: Reservation, now_ms: int) -> ReservationView:
    """Return a reservation as clients see it at an instant."""
    return ReservationView(
        order_id=reservation.order_id,
        saga_id=reservation.saga_id,
        store_id=reservation.store_id,
        status=reservation.status,
        items=[PiecesView(product_id=product, quantity=quantity) for product, quantity in reservation.pieces.items()],
        since=instant(reservation.since_ms),
        released_at=moment(reservation.released_ms),
        age_seconds=reservation.age_ms(now_ms) / 1000,
    )
