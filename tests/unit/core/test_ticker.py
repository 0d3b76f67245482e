"""What is done at a steady pace, and how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

import pytest
from apscheduler.schedulers import base

from sagastream import ticker
from sagastream.ticker import every


class Clock(datetime):
    """The wall clock as APScheduler and we see it; it can be put back or forward."""

    by = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one
        return datetime.now(tz) + cls.by


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Clock]]:
    monkeypatch.setattr(base, "datetime", Clock)
    monkeypatch.setattr(ticker, "datetime", Clock)
    yield Clock
    Clock.by = timedelta(0)


async def calls_after(clock: type[Clock], *steps: tuple[timedelta, float]) -> int:
    """Return how often a call every 25 ms comes in the 1.5 s after the clock was put so, each for so many seconds."""
    stop, calls = asyncio.Event(), 0

    async def call() -> None:
        nonlocal calls
        calls += 1

    ticking = asyncio.create_task(every(timedelta(milliseconds=25), call, stop))
    await asyncio.sleep(0.2)
    for clock.by, seconds in steps:
        await asyncio.sleep(seconds)
    before = calls
    await asyncio.sleep(1.5)
    stop.set()
    await asyncio.wait_for(ticking, 10)
    return calls - before


@pytest.mark.parametrize(
    "steps",
    [
        [(timedelta(hours=-1), 0.0)],
        [(timedelta(hours=-1), 0.2), (timedelta(0), 0.0)],
        [(timedelta(days=2), 0.0)],
    ],
    ids=["back", "back, and right again", "forward"],
)
async def test_a_clock_that_is_put_back_or_forward_delays_nothing_for_long(
    steps: list[tuple[timedelta, float]], clock: type[Clock]
) -> None:
    assert await calls_after(clock, *steps) > 10


async def test_instants_that_a_clock_put_forward_has_passed_are_not_listed(clock: type[Clock]) -> None:
    """There are 600 million of a period of 25 ms in half a year."""
    began = time.process_time()

    await calls_after(clock, (timedelta(days=180), 0.0))

    assert time.process_time() - began < 1


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


async def test_a_call_that_takes_longer_is_left_alone_and_nobody_is_warned(caplog: pytest.LogCaptureFixture) -> None:
    """A user's terminal would show APScheduler's words for what is meant to be so."""
    stop, under_way, most, calls = asyncio.Event(), 0, 0, 0

    async def call() -> None:
        nonlocal under_way, most, calls
        under_way, calls = under_way + 1, calls + 1
        most = max(most, under_way)
        await asyncio.sleep(0.2)
        under_way -= 1

    ticking = asyncio.create_task(every(timedelta(milliseconds=20), call, stop))
    await asyncio.sleep(1)
    stop.set()
    await asyncio.wait_for(ticking, 10)

    assert most == 1
    assert calls > 2
    assert caplog.messages == []
