"""What an order's customer was told is shown, without where it went."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from notification_service.api import notification_routes
from sagastream import problems

NOTIFICATION = {
    "Confirmation.status": "Sent",
    "Confirmation.channel": "email",
    "Confirmation.decided_ms": "1767225600123",
    "Confirmation.message_id": "<id@shop>",
    "Confirmation.reason": "",
}


class Stored:
    """Hashes by their name."""

    async def read_all(self, key: str) -> dict[str, str]:
        """Return the one notification there is."""
        return NOTIFICATION if key == "notification:order-1" else {}


@pytest.fixture
def client() -> httpx.AsyncClient:
    """Return a client of the notification routes."""
    app = FastAPI()
    problems.install(app)
    app.include_router(notification_routes(Stored()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notifications")


async def test_notices_are_shown(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/notifications/order-1")

    assert answer.json() == {
        "orderId": "order-1",
        "notices": [
            {
                "kind": "Confirmation",
                "status": "Sent",
                "channel": "email",
                "messageId": "<id@shop>",
                "reason": "",
                "decidedAt": "2026-01-01T00:00:00.123000Z",
            }
        ],
    }


@pytest.mark.parametrize(("order_id", "status"), [("unknown", 404), ("not.an.id", 422), ("x" * 65, 422)])
async def test_an_unknown_order_is_a_problem(client: httpx.AsyncClient, order_id: str, status: int) -> None:
    answer = await client.get(f"/api/notifications/{order_id}")

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
