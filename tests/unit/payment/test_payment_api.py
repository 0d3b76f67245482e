"""A payment is shown with its amount as a decimal and without the key the provider knows it by."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from payment_service.api import payment_routes
from sagastream import problems

PAYMENT = {
    "status": "Refunded",
    "amount_cents": "29999",
    "currency": "EUR",
    "method": "CreditCard",
    "key": "the-key",
    "reference": "pay_1",
    "reason": "",
    "decided_ms": "1767225600123",
    "refunded_ms": "1767225601000",
}


class Stored:
    """Hashes by their name."""

    async def read_all(self, key: str) -> dict[str, str]:
        """Return the one payment there is."""
        return PAYMENT if key == "payment:order-1" else {}


@pytest.fixture
def client() -> httpx.AsyncClient:
    """Return a client of the payment routes."""
    app = FastAPI()
    problems.install(app)
    app.include_router(payment_routes(Stored()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://payments")


async def test_a_payment_is_shown(client: httpx.AsyncClient) -> None:
    """Every field a customer service needs, in camelCase."""
    answer = await client.get("/api/payments/order-1")

    assert answer.json() == {
        "orderId": "order-1",
        "paymentId": "pay_1",
        "status": "Refunded",
        "amount": "299.99",
        "currency": "EUR",
        "paymentMethod": "CreditCard",
        "reason": "",
        "decidedAt": "2026-01-01T00:00:00.123000Z",
        "refundedAt": "2026-01-01T00:00:01Z",
    }


@pytest.mark.parametrize(("order_id", "status"), [("unknown", 404), ("not.an.id", 422), ("x" * 65, 422)])
async def test_an_unknown_payment_is_a_problem(client: httpx.AsyncClient, order_id: str, status: int) -> None:
    """Unknown and malformed ids are told apart."""
    answer = await client.get(f"/api/payments/{order_id}")

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
