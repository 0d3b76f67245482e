"""The stock routes and the demo catalogue, on the in-memory server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext

import httpx
import pytest
from fastapi import FastAPI

from money import Currency
from sagastream import Bus, Entrance, Settings
from sagastream.admission import Admission
from sagastream.errors import CannotApply
from sagastream.service import bare_app
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from stock_service.api import MOST_PIECES, Shelf, stock_routes
from stock_service.catalogue import demo_levels, seed
from stock_service.handlers import stock
from tests.unit.slot import NOW_MS

EUR = Currency("EUR", 2)


@pytest.fixture
def now_ms() -> list[int]:
    """The time of the server, which a test may put forward."""
    return [NOW_MS]


@pytest.fixture
def shelf(now_ms: list[int]) -> Shelf:
    connection = MemoryConnection(MemoryServer(lambda: now_ms[0]))
    bus = Bus(connection, connection, connection)
    return Shelf(Entrance(stock, bus=bus, settings=Settings()), EUR, Admission(Settings()))


@pytest.fixture
async def client(shelf: Shelf) -> AsyncIterator[httpx.AsyncClient]:
    def lifespan(_: FastAPI) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    app = bare_app("stock", lifespan, is_open=lambda: True, always=())
    app.include_router(stock_routes(shelf))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://stock/api/stock") as client:
        yield client


async def test_the_demo_is_seeded_once(shelf: Shelf, client: httpx.AsyncClient) -> None:
    """A second start changes nothing, and the documented product has its documented price."""
    levels = demo_levels(EUR)

    assert await seed(levels, shelf.entrance) == len(levels)
    await client.post("/store-1/product-1/restock", json={"quantity": 5})
    assert await seed(levels, shelf.entrance) == 0

    product = (await client.get("/store-1/product-1")).json()
    assert (product["unitPrice"], product["available"], product["restocked"]) == ("149.99", 10_005, 5)
    scarce = (await client.get("/store-1/scarce-product")).json()
    assert (scarce["available"], scarce["initial"]) == (50, 50)


async def test_two_workers_that_seed_at_once_write_each_product_once(shelf: Shelf, client: httpx.AsyncClient) -> None:
    """Neither fails over the other, and no piece is there twice."""
    written = await asyncio.gather(*(seed(demo_levels(EUR), shelf.entrance) for _ in range(2)))

    assert sorted(written) == [0, len(demo_levels(EUR))]
    assert (await client.get("/store-1/scarce-product")).json()["available"] == 50


async def test_a_catalogue_that_cannot_be_stored_is_not_stored_again_and_again(shelf: Shelf) -> None:
    """Another worker that seeds at the same time is a reason to look again; a store that is damaged is none."""
    await shelf.entrance.reader.command("SET", shelf.entrance.reader.keys.key("levels"), "no sorted set")

    with pytest.raises(CannotApply, match="not a sorted set: levels"):
        await asyncio.wait_for(seed(demo_levels(EUR), shelf.entrance), 10)


async def test_only_what_is_missing_is_seeded(shelf: Shelf, client: httpx.AsyncClient) -> None:
    """A product somebody already carries keeps its pieces and price."""
    await client.put("/store-1/product-1", json={"quantity": 3, "unitPrice": "1.00"})

    assert await seed(demo_levels(EUR), shelf.entrance) == len(demo_levels(EUR)) - 1

    product = (await client.get("/store-1/product-1")).json()
    assert (product["unitPrice"], product["available"]) == ("1.00", 3)


async def test_a_product_is_carried_once_and_can_be_described_again(client: httpx.AsyncClient) -> None:
    """Repeating the same request changes nothing; another quantity is refused, for pieces do not appear."""
    first = await client.put("/s/p", json={"quantity": 3, "name": "Cup", "unitPrice": "12.00"})
    again = await client.put("/s/p", json={"quantity": 3, "name": "Cup", "unitPrice": "12.00"})
    cheaper = await client.put("/s/p", json={"quantity": 3, "name": "Cup", "unitPrice": "11.00"})
    unpriced = await client.put("/s/p", json={"quantity": 3})
    other = await client.put("/s/p", json={"quantity": 4})

    assert [r.status_code for r in (first, again, cheaper, unpriced, other)] == [201, 200, 200, 200, 409]
    assert first.json() == again.json()
    assert [(r.json()["name"], r.json()["unitPrice"], r.json()["currency"]) for r in (first, cheaper, unpriced)] == [
        ("Cup", "12.00", "EUR"), ("Cup", "11.00", "EUR"), ("p", None, None)]  # fmt: skip
    assert (await client.get("/s/p")).json() == unpriced.json()


async def test_a_delivery_with_a_key_is_added_once(client: httpx.AsyncClient) -> None:
    """A repeated request under the same key answers the same; another quantity under it is refused."""
    await client.put("/s/p", json={"quantity": 0})
    key = {"Idempotency-Key": "delivery note 7".replace(" ", "-")}

    first = await client.post("/s/p/restock", json={"quantity": 5}, headers=key)
    again = await client.post("/s/p/restock", json={"quantity": 5}, headers=key)
    other = await client.post("/s/p/restock", json={"quantity": 6}, headers=key)

    assert first.json() == again.json()
    assert (first.json()["available"], first.json()["restocked"]) == (5, 5)
    assert (other.status_code, other.headers["content-type"]) == (422, "application/problem+json")


async def test_deliveries_without_a_key_are_all_added(client: httpx.AsyncClient) -> None:
    """Two that are alike are two deliveries: whoever wants one of them to count once names it."""
    await client.put("/s/p", json={"quantity": 0})

    for _ in range(2):
        assert (await client.post("/s/p/restock", json={"quantity": 5})).status_code == 200

    assert (await client.get("/s/p")).json()["available"] == 10


async def test_a_key_of_a_delivery_is_remembered_for_a_week(now_ms: list[int], client: httpx.AsyncClient) -> None:
    """Not for ever: every delivery would leave something behind."""
    await client.put("/s/p", json={"quantity": 0})
    await client.post("/s/p/restock", json={"quantity": 5}, headers={"Idempotency-Key": "note-7"})

    now_ms[0] += 7 * 24 * 3_600_000 - 1
    again = await client.post("/s/p/restock", json={"quantity": 5}, headers={"Idempotency-Key": "note-7"})
    now_ms[0] += 2
    afterwards = await client.post("/s/p/restock", json={"quantity": 5}, headers={"Idempotency-Key": "note-7"})

    assert (again.json()["available"], afterwards.json()["available"]) == (5, 10)


async def test_a_shelf_never_holds_more_than_could_be_put_back(shelf: Shelf, client: httpx.AsyncClient) -> None:
    """What is reserved must fit on it again; a delivery too many is refused with the number, and nothing is written."""
    await client.put("/s/p", json={"quantity": 1})
    key = shelf.entrance.reader.keys.key("level:s:p")
    await shelf.entrance.reader.command("HSET", key, "available", MOST_PIECES - 12, "reserved", 2)

    answers = [
        await client.post("/s/p/restock", json={"quantity": quantity}, headers={"Idempotency-Key": f"of-{quantity}"})
        for quantity in (11, 10, 10, 1)
    ]

    assert [answer.status_code for answer in answers] == [422, 200, 200, 422]
    assert f"{MOST_PIECES}" in answers[0].json()["detail"]
    assert (await client.get("/s/p")).json()["available"] == MOST_PIECES - 2


async def test_a_store_is_shown_page_by_page(client: httpx.AsyncClient) -> None:
    """Every product appears once, and the last page says that it is the last."""
    for number in range(5):
        await client.put(f"/s/p{number}", json={"quantity": number})

    first = (await client.get("/s?limit=3")).json()
    rest = (await client.get(f"/s?limit=3&start={first['next']}")).json()

    assert [p["productId"] for p in first["products"] + rest["products"]] == ["p0", "p1", "p2", "p3", "p4"]
    assert rest["next"] is None
    assert (await client.get("/s?limit=5")).json()["next"] is None


async def test_the_unknown_is_not_found(client: httpx.AsyncClient) -> None:
    """No store, no product, and nothing to restock."""
    await client.put("/s/p", json={"quantity": 1})
    answers = [
        await client.get("/nowhere"),
        await client.get("/nowhere?start=50"),
        await client.get("/s/nothing"),
        await client.post("/s/nothing/restock", json={"quantity": 1}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 404]
    assert "does not carry" in answers[3].json()["detail"]
    beyond = await client.get("/s?start=50")
    assert (beyond.status_code, beyond.json()["products"]) == (200, [])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"quantity": -1}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": 2.0}, "quantity"),
        ({"quantity": "2"}, "quantity"),
        ({"quantity": 10**12}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({}, "quantity"),
        ({"quantity": 1, "unitPrice": 1.5}, "unitPrice"),
        ({"quantity": 1, "unitPrice": "1.555"}, "unitPrice"),
        ({"quantity": 1, "unit_price": "1.55"}, "unit_price"),
        ({"quantity": 1, "name": ""}, "name"),
        ({"quantity": 1, "name": "a\nb"}, "name"),
    ],
)
async def test_bad_input_names_its_field_and_writes_nothing(
    client: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    """Wrong fields are named, and afterwards the product still does not exist."""
    answer = await client.put("/s/p", json=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await client.get("/s/p")).status_code == 404


async def test_ids_outside_their_alphabet_are_refused(client: httpx.AsyncClient) -> None:
    """A colon in an id could reach another product's key."""
    assert (await client.put("/s:x/p", json={"quantity": 1})).status_code == 422
    assert (await client.get("/s/" + "x" * 65)).status_code == 422
