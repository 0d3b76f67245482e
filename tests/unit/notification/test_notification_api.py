"""What an order's customer was told is shown, without where it went."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from notification_service import model, store, templates
from notification_service.api import notification_routes
from notification_service.channels import Receipt, Undeliverable
from notification_service.model import Kind, Notice
from sagastream import problems
from tests.unit.slot import Slot

NOW_MS = 1_767_225_600_123
CONFIRMED = model.notice(
    "order-1", Kind.CONFIRMATION, Receipt("email", "<id@shop>"), NOW_MS, total_cents=29_999, currency="EUR"
)
REFUSED = model.notice("order-1", Kind.CANCELLATION, Undeliverable("email", "refused for good (550)"), NOW_MS)


class Told(Slot):
    """The notices on the in-memory server."""

    async def write(self, *notices: Notice) -> None:
        """Write notices as the handlers do."""
        for notice in notices:
            tx = self.transaction()
            store.save(tx, notice)
            assert (await self.commit(tx))[0].is_ok


@pytest.fixture
def told() -> Told:
    """Return books in which nobody was told anything."""
    return Told("notification")


@pytest.fixture
async def client(told: Told) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the notification routes."""
    app = FastAPI()
    problems.install(app)
    app.include_router(notification_routes(told.reader))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notifications") as client:
        yield client


async def test_notices_are_shown(told: Told, client: httpx.AsyncClient) -> None:
    """Each kind, whether it was sent, and why not."""
    await told.write(CONFIRMED, REFUSED)

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
                "decidedAt": "2026-01-01T00:00:00.123Z",
            },
            {
                "kind": "Cancellation",
                "status": "Refused",
                "channel": "email",
                "messageId": "",
                "reason": "refused for good (550)",
                "decidedAt": "2026-01-01T00:00:00.123Z",
            },
        ],
    }


async def test_a_message_is_shown_as_it_was_written(told: Told, client: httpx.AsyncClient) -> None:
    """Subject, text and HTML, beside what became of it."""
    await told.write(CONFIRMED)

    shown = (await client.get("/api/notifications/order-1/Confirmation")).json()

    text = templates.confirmation("order-1", 29_999, "EUR")
    assert (shown["subject"], shown["text"], shown["html"]) == (text.subject, text.body, text.html)
    assert (shown["orderId"], shown["kind"], shown["messageId"]) == ("order-1", "Confirmation", "<id@shop>")


async def test_a_message_nobody_wrote_is_not_shown(told: Told, client: httpx.AsyncClient) -> None:
    """Nor one whose words have changed since, nor a kind there is not."""
    older = Notice("order-2", Kind.CONFIRMATION, CONFIRMED.status, "email", NOW_MS, template=templates.VERSION - 1)
    await told.write(CONFIRMED, older)

    paths = ["order-1/Cancellation", "order-2/Confirmation", "order-3/Confirmation", "order-1/Invoice"]
    answers = [await client.get(f"/api/notifications/{path}") for path in paths]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 422]
    assert "no longer kept" in answers[1].json()["detail"]


async def test_notifications_come_latest_first_page_by_page(told: Told, client: httpx.AsyncClient) -> None:
    """Every order once, with all its notices."""
    for number in range(5):
        receipt = Receipt("outbox", f"<{number}>")
        await told.write(model.notice(f"order-{number}", Kind.CANCELLATION, receipt, NOW_MS + number // 2))

    first = (await client.get("/api/notifications", params={"limit": 2})).json()
    rest = (await client.get("/api/notifications", params={"cursor": first["next"]})).json()

    shown = first["notifications"] + rest["notifications"]
    assert [one["orderId"] for one in shown] == ["order-4", "order-3", "order-2", "order-1", "order-0"]
    assert [one["notices"][0]["messageId"] for one in shown] == ["<4>", "<3>", "<2>", "<1>", "<0>"]
    assert rest["next"] is None


@pytest.mark.parametrize(("order_id", "status"), [("unknown", 404), ("not.an.id", 422), ("x" * 65, 422)])
async def test_an_unknown_order_is_a_problem(client: httpx.AsyncClient, order_id: str, status: int) -> None:
    """Unknown and malformed ids are told apart."""
    answer = await client.get(f"/api/notifications/{order_id}")

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
