"""What is held for an order, and for how long, is for everybody to see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext

import httpx
import pytest
from fastapi import FastAPI

from money import Currency
from sagastream import Bus, Entrance, Settings, Transaction
from sagastream.admission import Admission
from sagastream.service import bare_app
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from stock_service import store
from stock_service.api import Shelf, stock_routes
from stock_service.handlers import stock
from stock_service.model import Level, Reservation, ReservationStatus
from tests.unit.slot import NOW_MS

HELD = Reservation("order-1", "saga-1", "s", ReservationStatus.HELD, {"cup": 2, "jug": 1}, NOW_MS)


class Warehouse:
    """A shelf with cups and jugs, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        connection = MemoryConnection(MemoryServer(lambda: self.now_ms))
        self.shelf = Shelf(
            Entrance(stock, bus=Bus(connection, connection, connection), settings=Settings()),
            Currency("EUR", 2),
            Admission(Settings()),
        )

    async def hold(self) -> None:
        """Hold two cups and a jug for an order."""

        def change(tx: Transaction) -> None:
            for product in ("cup", "jug"):
                store.add_level(tx, Level("s", product, product, available=9, initial=9))

        await self.shelf.entrance.change(change)
        await self.shelf.entrance.change(lambda tx: store.hold(tx, HELD))


@pytest.fixture
def warehouse() -> Warehouse:
    return Warehouse()


@pytest.fixture
async def client(warehouse: Warehouse) -> AsyncIterator[httpx.AsyncClient]:
    def lifespan(_: FastAPI) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    app = bare_app("stock", lifespan, is_open=lambda: True, always=())
    app.include_router(stock_routes(warehouse.shelf))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stock/api/stock") as client:
        yield client


async def test_a_reservation_is_shown_with_its_age(warehouse: Warehouse, client: httpx.AsyncClient) -> None:
    """Piece by piece, and by the server's clock."""
    await warehouse.hold()
    warehouse.now_ms += 12_500

    shown = (await client.get("/orders/order-1/reservation")).json()

    assert shown == {
        "orderId": "order-1",
        "sagaId": "saga-1",
        "storeId": "s",
        "status": "Held",
        "items": [{"productId": "cup", "quantity": 2}, {"productId": "jug", "quantity": 1}],
        "since": "2023-11-14T22:13:20.000Z",
        "releasedAt": None,
        "ageSeconds": 12.5,
    }


async def test_a_released_reservation_stops_ageing(warehouse: Warehouse, client: httpx.AsyncClient) -> None:
    """It stays visible, with for how long the pieces were kept from others."""
    await warehouse.hold()
    warehouse.now_ms += 3_000
    await warehouse.shelf.entrance.change(lambda tx: store.put_back(tx, HELD))
    warehouse.now_ms += 60_000

    shown = (await client.get("/orders/order-1/reservation")).json()

    assert (shown["status"], shown["releasedAt"], shown["ageSeconds"]) == ("Released", "2023-11-14T22:13:23.000Z", 3.0)
    level = (await client.get("/s/cup")).json()
    assert (level["available"], level["reserved"]) == (9, 0)


async def test_an_order_nothing_is_held_for_is_not_found(warehouse: Warehouse, client: httpx.AsyncClient) -> None:
    """Unknown and impossible ids are told apart, and a store named like the route keeps its products."""
    await warehouse.shelf.entrance.change(
        lambda tx: store.add_level(tx, Level("orders", "order-1", "Order", available=1, initial=1))
    )

    assert (await client.get("/orders/order-2/reservation")).status_code == 404
    assert (await client.get("/orders/a:b/reservation")).status_code == 422
    assert (await client.get("/orders/order-1")).json()["name"] == "Order"
