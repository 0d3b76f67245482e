"""The script writes the server's time as Python would, on any day."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagastream.envelope import Envelope, epoch_ms, instant, pairs
from sagastream.keys import Keys
from sagastream.reader import Reader
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from sagastream.transaction import Transaction, Transactor

KEYS = Keys("i:", "clock")
LAST = 253_402_300_799_999  # the end of the year 9999


def written_at(ms: int) -> str:
    """Publish an event at an instant and return the time it got."""
    server = MemoryServer(lambda: ms)
    connection = MemoryConnection(server)
    tx = Transaction(Reader(connection, KEYS), saga_id="saga-1", key="", now_ms=0)
    tx.publish(
        Envelope(
            id="e", source="clock", type="Struck", subject="", saga_id="saga-1", cause="", initiator="",
            definition="day", definition_version="1", data="{}",
        )
    )  # fmt: skip
    receipt = asyncio.run(Transactor(connection, KEYS, retention=timedelta(days=1)).commit([tx]))
    assert receipt.now_ms == ms
    ((_, fields),) = server.call("XRANGE", KEYS.events("Struck"), "-", "+")  # type: ignore[misc, union-attr]
    return pairs([str(value) for value in fields])["time"]  # type: ignore[union-attr]


EDGES = [
    "1970-01-01T00:00:00.000", "1999-12-31T23:59:59.999", "2000-02-28T23:59:59.999", "2000-02-29T00:00:00.000",
    "2000-03-01T00:00:00.000", "2023-02-28T23:59:59.999", "2023-03-01T00:00:00.000", "2024-02-29T12:34:56.007",
    "2024-12-31T23:59:59.999", "2025-01-01T00:00:00.000", "2026-04-30T23:59:59.099", "2026-05-01T00:00:00.100",
    "2038-01-19T03:14:08.000", "2100-02-28T23:59:59.999", "2100-03-01T00:00:00.000", "2400-02-29T00:00:00.000",
]  # fmt: skip


@pytest.mark.parametrize("text", EDGES)
def test_the_ends_of_months_and_leap_years_are_written_as_they_are(text: str) -> None:
    """Days around which a calendar goes wrong."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    assert written_at(ms) == f"{text}Z" == instant(ms)
    assert epoch_ms(f"{text}Z") == ms


@settings(max_examples=150, deadline=None)
@given(st.integers(0, LAST))
def test_any_instant_is_written_as_python_writes_it(ms: int) -> None:
    """And read back as the same."""
    assert written_at(ms) == instant(ms)
    assert epoch_ms(written_at(ms)) == ms
