"""What is done at a steady pace, and how it ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta

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
