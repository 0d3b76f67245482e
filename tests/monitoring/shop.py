"""The shop in one process, and orders that end in every way there is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.monitoring.prometheus_server import until
from tests.processes.child import Child, environment
from tests.processes.orders import Body, an_order

_PLACE = "/api/orders/choreographed-saga"
# One order stays unfinished for as long as the tests take: the provider keeps silent, and nobody loses patience. Where
# it is slow it is slower than any test, so that what is cancelled meanwhile is not done before.
_SETTINGS = {
    "PROVIDER_SLOW": "60",
    "PROVIDER_SILENCE": "300",
    "PAYMENT_TIMEOUT": "300",
    "ORDER_DEADLINE_PACE": "10",
    "STOP_WITHIN": "0.5",
    "AUDIT_EVERY": "1",
}


@contextmanager
def shop(data_dir: Path, port: int, **settings: str) -> Iterator[httpx.Client]:
    """Run the shop around the block."""
    told = environment(data_dir, PORT=str(port), **{**_SETTINGS, **settings})
    child = Child(["dev"], told, data_dir / "shop.log")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=40, trust_env=False) as client:

            def is_ready() -> bool:
                assert child.is_running, child.said()
                try:
                    return client.get("/readyz").is_success
                except httpx.TransportError:
                    return False

            until(is_ready, "the shop is ready", within_s=60)
            yield client
    finally:
        asyncio.run(child.end())


def work(client: httpx.Client) -> None:
    """Let orders be completed, declined, short and cancelled, and wait until they are."""
    for method in ("CreditCard", "PayPal", "BankTransfer", "DeclinedCard"):
        _end(client, an_order(method=method), "Compensated" if method == "DeclinedCard" else "Completed")
    _end(client, an_order(("product-1", 1_000_000)), "Failed")
    placed = _reserved(client, an_order(method="SlowProvider"))
    client.post(f"/api/orders/{placed['orderId']}/cancel").raise_for_status()
    until(lambda: _status(client, placed["sagaId"]) == "Compensated", "the cancelled order is undone")


def leave_one(client: httpx.Client) -> str:
    """Place an order that does not end, and return its saga once nobody but payment has anything to do.

    A saga ends before the mail about it is sent.
    """
    saga_id = _reserved(client, an_order(method="TimeoutAfterCharge"))["sagaId"]
    until(lambda: _busy(client) == {"payment"}, "only payments are in hand")
    return saga_id


def statistics(client: httpx.Client) -> dict[str, Any]:
    """Return what the shop says about all its sagas."""
    return dict(client.get("/api/choreographedsaga/statistics").raise_for_status().json())


def _busy(client: httpx.Client) -> set[str]:
    """Return the groups that have something to read or have read something they have not settled."""
    streams = client.get("/api/v1/streams").raise_for_status().json()["streams"]
    groups = [group for stream in streams for group in stream["groups"]]
    return {group["name"] for group in groups if group["lag"] != 0 or group["pending"]}


def _end(client: httpx.Client, body: Body, how: str) -> None:
    saga_id = _place(client, body, wait=30)["sagaId"]
    status = _status(client, saga_id)
    assert status == how, f"{body} ended {status}"


def _reserved(client: httpx.Client, body: Body) -> dict[str, str]:
    placed = _place(client, body)
    until(lambda: _status(client, placed["sagaId"]) == "InProgress", "the stock is reserved")
    return placed


def _place(client: httpx.Client, body: Body, wait: int = 0) -> dict[str, str]:
    answer = client.post(_PLACE, json=body, params={"wait": wait} if wait else {})
    assert answer.is_success, answer.text
    return dict(answer.json())


def _status(client: httpx.Client, saga_id: str) -> str:
    answer = client.get(f"/api/choreographedsaga/state/{saga_id}")
    return str(answer.json()["status"]) if answer.is_success else ""
