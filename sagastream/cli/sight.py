"""Sagas as the HTTP routes show them, for commands: the same listing, the same views. Reads only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from sagastream.bus import Bus, connect
from sagastream.coordinator import views
from sagastream.coordinator.listing import Filter, Listing
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import Records
from sagastream.coordinator.views import PageView
from sagastream.embedded import server_url
from sagastream.errors import SagastreamError
from sagastream.keys import COORDINATOR, Keys
from sagastream.pages import Position
from sagastream.rundir import AlreadyRunning, RunDir
from sagastream.saga.definition import Saga
from sagastream.settings import Settings

LONGEST_READ = timedelta(seconds=1)


class NothingHere(SagastreamError):
    """There is no server to read from; the message says how to name one."""


async def page(
    sagas: Sequence[Saga], bus: Bus, prefix: str, wanted: Filter, after: Position | None, limit: int
) -> PageView:
    """Return the requested sagas after a position."""
    listing = Listing(Records(bus, Keys(prefix, COORDINATOR)))
    return views.page(await listing.page(wanted, after, limit), Meanings(sagas).table)


def with_bus(settings: Settings, work: Callable[[Bus], Awaitable[int]], *, must_run: bool = False) -> int:
    """Do some work on the server of these settings and return its exit code.

    If no server runs on the data of this machine, start one for the time of the work, unless it ``must_run`` already.
    Raises: ``NothingHere``, ``NoServer``, ``ServerUnavailable``.
    """
    if settings.redis_url is None:
        _must_be_here(settings, must_run=must_run)
    with server_url(settings) as url:
        return asyncio.run(_work(url, work))


async def _work(url: str, work: Callable[[Bus], Awaitable[int]]) -> int:
    async with opened(url) as bus:
        return await work(bus)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Bus]:
    """Yield connections for reading."""
    bus = connect(url, name=f"sagastream-cli/{os.getpid()}", block=LONGEST_READ)
    try:
        yield bus
    finally:
        await bus.close()


def _must_be_here(settings: Settings, *, must_run: bool) -> None:
    """Check before anything is started: reading must not create a new, empty store."""
    here = settings.data_dir
    if not (here / "redis").is_dir():
        raise NothingHere(f"nothing was ever kept in {here}; set DATA_DIR to where a shop keeps its data, or REDIS_URL")
    if not must_run:
        return
    try:
        with RunDir(here / "run").locked("redis"):
            raise NothingHere(f"nothing runs in {here}; start it with `sagastream dev`, or set REDIS_URL")
    except AlreadyRunning:
        pass  # a running server holds the lock, as it should
