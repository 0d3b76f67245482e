"""The books are read where the services write them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from books.facts import Account, Level, Payment, Reservation, Saga, Told
from books.facts import Order as OrderFact
from books.reading import Sources, read_accounts, read_books
from books.rules import check
from notification_service import store as notices
from notification_service.channels import Message
from notification_service.model import Kind, Notice
from notification_service.model import Status as NoticeStatus
from notification_service.outbox import FileOutbox
from order_service import store as orders
from order_service.model import Line, Order, Status
from payment_service import model as payment_model
from payment_service import store as payments
from payment_service.provider import Provider
from payment_service.provider_record import FileRecord
from sagastream import Transaction
from sagastream.keys import Keys
from sagastream.reader import Reader
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from sagastream.transaction import Transactor
from stock_service import store as stock
from stock_service.model import Level as StockLevel
from stock_service.model import Reservation as StockReservation
from stock_service.model import ReservationStatus

NOW_MS = 1_700_000_000_000


async def test_every_book_is_found_and_they_agree(tmp_path: Path) -> None:
    """What the services' own code wrote, in Redis and in files, is read back to the piece and the cent."""
    connection = MemoryConnection(MemoryServer(lambda: NOW_MS))

    async def write(owner: str, change: Callable[[Transaction], None]) -> None:
        keys = Keys("p:", owner)
        tx = Transaction(Reader(connection, keys), saga_id="", key="", now_ms=NOW_MS)
        change(tx)
        receipt = await Transactor(connection, keys, retention=timedelta(days=1)).commit([tx])
        assert receipt.outcomes[0].is_ok

    lines = (Line("cup", 1, 500), Line("cup", 2, 500))
    order = Order("o1", "s1", "c", "st", "PayPal", 1500, "EUR", lines, status=Status.CONFIRMED)
    level = StockLevel("st", "cup", "Cup", available=7, reserved=3, initial=10)
    held = StockReservation("o1", "s1", "st", ReservationStatus.HELD, {"cup": 3}, NOW_MS)
    async with Provider(FileRecord(tmp_path / "calls.jsonl")) as provider:
        await provider.charge("s1.charge", 1500, "EUR", "PayPal")
        await provider.charge("s2.charge", 700, "EUR", "PayPal")
        await provider.close("s2.charge")
        await provider.refund("s2.charge")
    outbox = FileOutbox(tmp_path / "outbox", sender="shop@example.org")
    await outbox.send(Message("s1.notify", "o1", None, "subject", "body", NOW_MS))
    await outbox.send(Message("s1.notify", "o1", None, "subject", "body", NOW_MS))
    await write("order", lambda tx: orders.add(tx, order))
    await write("stock", lambda tx: stock.add_level(tx, level))
    await write("stock", lambda tx: tx.set(stock.level_key("st", "cup"), {"available": 10, "reserved": 0}))
    await write("stock", lambda tx: stock.hold(tx, held))
    paid = payment_model.Payment("o1", payment_model.Status.CHARGED, 1500, "EUR", "PayPal", "s1.charge", NOW_MS)
    await write("payment", lambda tx: payments.save(tx, paid))
    told = Notice("o1", Kind.CONFIRMATION, NoticeStatus.SENT, "outbox", NOW_MS)
    await write("notification", lambda tx: notices.save(tx, told))
    await write("saga", lambda tx: tx.set("record:s1", {"status": "Completed", "process": "order"}))
    await write("saga", lambda tx: tx.schedule("index:all", "s1", NOW_MS))
    await write("saga", lambda tx: tx.set("record:t1", {"status": "Started", "process": "trip"}))
    await write("saga", lambda tx: tx.schedule("index:all", "t1", NOW_MS))

    books = await read_books(Sources(connection, "p:", tmp_path / "calls.jsonl", tmp_path / "outbox"))

    assert books.sagas == {"s1": Saga("s1", "Completed")}
    assert books.orders == {"o1": OrderFact("o1", "s1", "Confirmed", 1500, 0, {"st:cup": 3}, "EUR")}
    assert books.levels == {"st:cup": Level("st:cup", 7, 3, 10, 0)}
    assert books.reservations == {"o1": Reservation("o1", "s1", True, {"st:cup": 3})}
    assert books.payments == {"o1": Payment("o1", "s1.charge", "Charged", 1500)}
    assert books.accounts == {
        "s1.charge": Account(1500, 0, 1, "EUR"),
        "s2.charge": Account(700, 700, 1, "EUR"),
    }
    assert books.told == {"o1": Told(1, 0)}
    assert [each.differences for each in check(books) if each.differences] == []


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    """The provider may be at work while its record is read."""
    calls = tmp_path / "calls.jsonl"
    calls.write_text('{"call":"charge","key":"k","outcome":"charged","amountCents":5}\n{"call":"ref')

    assert read_accounts(calls) == {"k": Account(5, 0, 1)}
    assert read_accounts(tmp_path / "absent") == {}


def test_a_line_that_is_no_call_is_named(tmp_path: Path) -> None:
    """A damaged record is an error, never a smaller sum."""
    calls = tmp_path / "calls.jsonl"
    calls.write_text("{}\n")

    with pytest.raises(ValueError, match="line 1 is not a call"):
        read_accounts(calls)
