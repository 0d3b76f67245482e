"""Sagas followed over real connections: at the base URL and by service name, until the client or the process goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from sagastream import Bus, Entrance, Settings
from sagastream.coordinator.tracker import Coordinator
from sagastream.embedded import EmbeddedServer
from sagastream.front import create_front
from sagastream.live.api import live_routes
from sagastream.proxy import local_service, remote_service
from sagastream.server_program import find_server
from sagastream.service import App, Service, alive, create_app, opened_context
from sagastream.serving import address, listen, serve
from tests.trip import TRIP, TripBooked, desk

pytestmark = pytest.mark.server

SOON_S = 0.5


class Shop:
    """A coordinator and the base URL before it, served as a process serves them."""

    def __init__(self, bus: Bus, settings: Settings) -> None:
        self.stop = asyncio.Event()
        self.url = ""
        self.bus = bus
        self.settings = settings

    async def book(self, key: str) -> str:
        """Begin a saga; return its id."""
        entrance = Entrance(desk, bus=self.bus, settings=self.settings)
        return (await entrance.begin(TripBooked(nights=2), key=key)).saga_id

    @asynccontextmanager
    async def following(self, path: str) -> AsyncIterator[AsyncIterator[str]]:
        """Follow; yield the lines that come."""
        async with (
            httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=20) as client,
            client.stream("GET", path) as answer,
        ):
            assert answer.status_code == 200
            yield answer.aiter_lines()

    async def until_read_by(self, wanted: int) -> None:
        """Wait until so many connections wait for changes; never were there more than one.

        The server tells of each connection its last command; one that is not blocked has long done with it.
        """
        count = -1
        while count != wanted:
            listed = str(await self.bus.query.execute("CLIENT", "LIST")).splitlines()
            count = sum("cmd=xread " in line and "flags=b" in line for line in listed)
            assert count <= 1
            await asyncio.sleep(0.01)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """Serve a coordinator, in this process and passed on as if it were in another."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(tmp_path, program=find_server(None)))
        settings = Settings(redis_url=server.url, block=timedelta(seconds=0.2))
        context = await stack.enter_async_context(opened_context("coordinator", server.url, settings))
        worker = Coordinator([TRIP], bus=context.bus, settings=settings, telemetry=context.telemetry)
        routes = live_routes([TRIP], bus=context.bus, settings=settings)
        app = create_app(Service("coordinator", [routes], [worker]), context)
        shop = Shop(context.bus, settings)
        alone, behind = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            url = _serve(tasks, stack, app, settings, shop.stop, alone)
            clients = {"coordinator": local_service(app), "elsewhere": remote_service(url)}
            front = create_front([routes], clients, opens=[alive(create_app(Service("front"), context))])
            shop.url = _serve(tasks, stack, front, settings, shop.stop, behind)
            await asyncio.gather(alone.wait(), behind.wait())
            yield shop
            shop.stop.set()


def _serve(
    tasks: asyncio.TaskGroup, stack: AsyncExitStack, app: App, settings: Settings, stop: asyncio.Event,
    ready: asyncio.Event,
) -> str:  # fmt: skip
    wire = stack.enter_context(listen(settings, 0))
    tasks.create_task(serve(app, wire, stop, ready.set))
    return address(wire)


PATHS = ("/api/v1/events", "/services/coordinator/api/v1/events", "/services/elsewhere/api/v1/events")


@pytest.mark.parametrize("path", PATHS)
async def test_changes_come_while_the_stream_is_open(shop: Shop, path: str) -> None:
    """Wherever it is asked for, nobody on the way keeps a message back."""
    async with asyncio.timeout(20), shop.following(path) as lines:
        seen: list[str] = []
        booked = ""
        async for line in lines:
            seen.append(line)
            if line == "event: reset":
                booked = await shop.book("request-1")
            if booked and booked in line:
                break

    assert "event: sagas" in seen


async def test_streams_end_at_once_when_the_process_stops(shop: Shop) -> None:
    """On every way; the client sees a clean end, and nothing is logged as a fault."""
    async with asyncio.timeout(20), AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(shop.following(path)) for path in PATHS * 5]
        for lines in streams:
            assert (await anext(lines)).startswith(("id: ", "event: reset"))
        began = time.perf_counter()
        shop.stop.set()

        async def to_its_end(lines: AsyncIterator[str]) -> float:
            async for _ in lines:
                pass
            return time.perf_counter() - began

        took = await asyncio.gather(*(to_its_end(lines) for lines in streams))

    assert max(took) < SOON_S


async def test_nobody_reads_the_feed_once_the_last_client_has_gone(shop: Shop) -> None:
    """However many came, one connection read it."""
    async with asyncio.timeout(20):
        async with AsyncExitStack() as stack:
            for path in PATHS * 3:
                lines = await stack.enter_async_context(shop.following(path))
                await anext(lines)
            await shop.until_read_by(1)
        began = time.perf_counter()
        await shop.until_read_by(0)

    assert time.perf_counter() - began < SOON_S
