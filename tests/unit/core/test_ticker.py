"""What is done at a steady pace, and how it ends."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from sagastream.ticker import every


async def test_a_call_under_way_has_ended_when_the_ticker_has() -> None:
    """Else it would open again, behind its back, what whoever stopped the ticker closes."""
    stop, told = asyncio.Event(), ["begun"]

    async def call() -> None:
        stop.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # as whoever is cancelled in the middle of an answer
            told.append("ended")

    await asyncio.wait_for(every(timedelta(milliseconds=1), call, stop), 10)

    assert told == ["begun", "ended"]


async def test_a_call_that_was_woken_when_the_ticker_stops_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The scheduler would cancel it before its first step, and log that as an error of the job's."""
    stop = asyncio.Event()

    async def call() -> None:
        await asyncio.Event().wait()

    ticking = asyncio.create_task(every(timedelta(milliseconds=20), call, stop))
    await asyncio.sleep(0.002)  # its alarm is set
    asyncio.get_running_loop().call_later(0.005, stop.set)
    # So that it is told to stop and wakes the call in one turn of the loop, in this order.
    time.sleep(0.05)  # noqa: ASYNC251  # the loop has to stand still
    await asyncio.wait_for(ticking, 10)
    await asyncio.sleep(0.01)

    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
