"""The provider's routes show its record and what stands under a key."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from payment_service.provider import Provider
from payment_service.provider_api import provider_routes
from payment_service.provider_record import MemoryRecord

CHARGE = {"key": "saga-1.charge", "amountCents": 500, "currency": "EUR", "method": "CreditCard"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a provider that has taken nothing yet."""
    async with Provider(MemoryRecord(), now_ms=lambda: 7) as provider:
        app = FastAPI()
        app.include_router(provider_routes(provider))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://provider") as client:
            yield client


async def test_the_record_is_read_in_pages(client: httpx.AsyncClient) -> None:
    """Every call is shown once, as it was recorded."""
    await client.post("/charges", json=CHARGE)
    await client.post("/refunds", json={"key": "saga-1.charge"})

    first = (await client.get("/records", params={"limit": 1})).json()
    second = (await client.get("/records", params={"after": first["next"]})).json()

    assert first["records"] == [
        {
            "atMs": 7,
            "call": "charge",
            "outcome": "charged",
            **CHARGE,
            "reference": first["records"][0]["reference"],
        }
    ]
    assert [call["outcome"] for call in second["records"]] == ["refunded"]
    assert second["next"] is None


async def test_a_balance_says_what_stands_under_a_key(client: httpx.AsyncClient) -> None:
    """Taken, given back and kept are shown apart; a key never heard of has nothing."""
    await client.post("/charges", json=CHARGE)

    kept = (await client.get("/balance/saga-1.charge")).json()
    nothing = (await client.get("/balance/never/heard.of")).json()

    assert (kept["takenCents"], kept["refundedCents"], kept["keptCents"], kept["closed"]) == (
        500,
        0,
        500,
        False,
    )
    assert (nothing["key"], nothing["keptCents"]) == ("never/heard.of", 0)


async def test_a_closed_key_takes_no_money_any_more(client: httpx.AsyncClient) -> None:
    """What was taken before is told; a charge that lands later is refused."""
    untouched = (await client.post("/closes", json={"key": "saga-1.charge"})).json()
    late = (await client.post("/charges", json=CHARGE)).json()
    balance = (await client.get("/balance/saga-1.charge")).json()

    assert untouched["taken"] is None
    assert late["taken"] is None
    assert late["refused"]
    assert (balance["takenCents"], balance["closed"]) == (0, True)


@pytest.mark.parametrize(
    "change",
    [
        {"amountCents": -1},
        {"amountCents": "x"},
        {"key": ""},
        {"currency": "E"},
        {"surplus": 1},
        {"method": ""},
    ],
    ids=str,
)
async def test_a_malformed_charge_is_not_recorded(client: httpx.AsyncClient, change: dict[str, object]) -> None:
    """What is not understood is refused whole."""
    answer = await client.post("/charges", json=CHARGE | change)

    assert answer.status_code == 422
    assert (await client.get("/records")).json() == {"records": [], "next": None}


async def test_another_charge_under_a_used_key_is_a_conflict(client: httpx.AsyncClient) -> None:
    """The caller's mistake is named."""
    await client.post("/charges", json=CHARGE)

    answer = await client.post("/charges", json=CHARGE | {"amountCents": 501})

    assert answer.status_code == 409


async def test_a_made_up_position_is_refused(client: httpx.AsyncClient) -> None:
    """Positions come from earlier pages."""
    assert (await client.get("/records", params={"after": 12})).status_code == 422


@pytest.mark.parametrize("amount", [False, True, "500", 500.0, 5.5, -1, 10**16, None])
async def test_an_amount_of_another_kind_moves_no_money(client: httpx.AsyncClient, amount: object) -> None:
    """Neither a truth value nor a text is taken for a number, and nothing is recorded."""
    answer = await client.post("/charges", json={**CHARGE, "amountCents": amount})

    assert answer.status_code == 422
    assert (await client.get("/records")).json()["records"] == []
