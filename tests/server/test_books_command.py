"""The command `python -m books` on a real server."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from books.__main__ import AGREE, UNDER_WAY, main
from order_service import store as orders
from order_service.model import Line, Order, Status
from sagastream import Transaction, connect
from sagastream.clock import server_ms
from sagastream.keys import Keys
from sagastream.reader import Reader
from sagastream.transaction import Transactor

DAY = timedelta(days=1)


async def cancelled(server_url: str, prefix: str, ago: timedelta) -> None:
    """Have an order that was cancelled so long ago, and whose saga nobody keeps."""
    bus = connect(server_url, name="test", block=timedelta(seconds=1))
    settled_ms = await server_ms(bus.query) - ago // timedelta(milliseconds=1)
    keys = Keys(prefix, "order")
    tx = Transaction(Reader(bus.query, keys), saga_id="", key="", now_ms=settled_ms)
    order = Order("o1", "s1", "c", "st", "PayPal", 500, "EUR", (Line("cup", 1, 500),), status=Status.CANCELLED)
    orders.add(tx, order)
    tx.set("order:o1", {"settled_ms": settled_ms})
    outcomes = (await Transactor(bus.writer, keys, retention=DAY).commit([tx])).outcomes
    assert outcomes[0].is_ok, outcomes
    await bus.close()


@pytest.mark.parametrize(("days", "code"), [(91, AGREE), (1, UNDER_WAY)])
async def test_an_order_is_not_under_way_for_ever_because_its_saga_is_kept_no_longer(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, code: int
) -> None:
    """One that was settled only just may be one that its coordinator has not come to yet."""
    prefix = f"books-{days}:"
    await cancelled(server_url, prefix, days * DAY)
    for name, value in {"REDIS_URL": server_url, "KEY_PREFIX": prefix, "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["books"])

    told = await asyncio.to_thread(main)

    assert told == code
