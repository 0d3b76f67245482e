"""A payment is shown with its amount as a decimal and without the key the provider knows it by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from payment_service import store
from payment_service.api import payment_routes
from payment_service.model import Payment, Status
from sagastream import problems
from tests.unit.slot import Slot

NOW_MS = 1_767_225_600_123
TAKEN = Payment("order-1", Status.CHARGED, 29_999, "EUR", "CreditCard", "the-key", NOW_MS, reference="pay_1")
GIVEN_BACK = Payment(
    "order-1", Status.REFUNDED, 29_999, "EUR", "CreditCard", "the-key", NOW_MS, "pay_1", refunded_ms=NOW_MS + 877
)


class Ledger(Slot):
    """The payments on the in-memory server."""

    async def write(self, *payments: Payment) -> None:
        """Write payments as the handlers do."""
        for payment in payments:
            tx = self.transaction()
            store.save(tx, payment)
            assert (await self.commit(tx))[0].is_ok


@pytest.fixture
def ledger() -> Ledger:
    """Return a ledger without payments."""
    return Ledger("payment")


@pytest.fixture
async def client(ledger: Ledger) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the payment routes."""
    app = FastAPI()
    problems.install(app)
    app.include_router(payment_routes(ledger.reader))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://payments") as client:
        yield client


async def test_a_payment_and_its_refund_are_shown(ledger: Ledger, client: httpx.AsyncClient) -> None:
    """Every field a customer service needs, in camelCase; the refund once there is one."""
    await ledger.write(TAKEN)
    taken = (await client.get("/api/payments/order-1")).json()
    await ledger.write(GIVEN_BACK)
    given_back = (await client.get("/api/payments/order-1")).json()

    assert taken == {
        "orderId": "order-1",
        "paymentId": "pay_1",
        "status": "Charged",
        "amount": "299.99",
        "currency": "EUR",
        "paymentMethod": "CreditCard",
        "reason": "",
        "decidedAt": "2026-01-01T00:00:00.123Z",
        "refundedAmount": None,
        "refundedAt": None,
    }
    assert given_back == {
        **taken,
        "status": "Refunded",
        "refundedAmount": "299.99",
        "refundedAt": "2026-01-01T00:00:01.000Z",
    }


@pytest.mark.parametrize("method", ["CreditCard", "PayPal", "BankTransfer"])
async def test_the_method_is_shown(ledger: Ledger, client: httpx.AsyncClient, method: str) -> None:
    """As the customer chose it."""
    await ledger.write(Payment("order-1", Status.CHARGED, 1, "EUR", method, "k", NOW_MS))

    assert (await client.get("/api/payments/order-1")).json()["paymentMethod"] == method


async def test_payments_come_latest_first_page_by_page(ledger: Ledger, client: httpx.AsyncClient) -> None:
    """A refund does not move the payment it gave back, and what is decided meanwhile moves nothing."""
    payments = [
        Payment(f"order-{number}", Status.CHARGED, number, "EUR", "PayPal", "k", NOW_MS + number // 2)
        for number in range(5)
    ]
    await ledger.write(*payments)

    first = (await client.get("/api/payments", params={"limit": 2})).json()
    await ledger.write(Payment("order-9", Status.CHARGED, 9, "EUR", "PayPal", "k", NOW_MS + 9))
    rest = (await client.get("/api/payments", params={"cursor": first["next"]})).json()

    shown = [payment["orderId"] for payment in first["payments"] + rest["payments"]]
    assert shown == ["order-4", "order-3", "order-2", "order-1", "order-0"]
    assert rest["next"] is None


@pytest.mark.parametrize("code", ["XBT", "eur", ""])
async def test_what_was_taken_in_a_currency_nobody_knows_is_shown_and_hides_no_other(
    ledger: Ledger, client: httpx.AsyncClient, code: str
) -> None:
    """A provider may say that it took bitcoins; how many decimals they have is not made up."""
    await ledger.write(TAKEN, replace(TAKEN, order_id="order-2", currency=code))

    shown = (await client.get("/api/payments")).json()["payments"]

    assert [(each["orderId"], each["amount"], each["currency"]) for each in shown] == [
        ("order-2", "29999 minor units", code),
        ("order-1", "299.99", "EUR"),
    ]


async def test_a_shop_without_payments_has_an_empty_page(client: httpx.AsyncClient) -> None:
    """No page is no error."""
    assert (await client.get("/api/payments")).json() == {"payments": [], "next": None}


@pytest.mark.parametrize(("order_id", "status"), [("unknown", 404), ("not.an.id", 422), ("x" * 65, 422)])
async def test_an_unknown_payment_is_a_problem(client: httpx.AsyncClient, order_id: str, status: int) -> None:
    """Unknown and malformed ids are told apart."""
    answer = await client.get(f"/api/payments/{order_id}")

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
