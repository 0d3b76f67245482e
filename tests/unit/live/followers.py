"""Clients of the live routes in virtual time, reading as a browser's EventSource does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from sagastream.live.api import live_routes
from sagastream.local_transport import LocalTransport
from sagastream.service import bare_app
from tests.trip import TRIP
from tests.unit.core.world import Wire, World


@dataclass
class Follower:
    """What came over one stream, in the order it came."""

    status: int
    headers: httpx.Headers
    events: list[tuple[str, str, Any]] = field(default_factory=list)
    comments: list[tuple[float, str]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    is_over: bool = False

    def of(self, event: str) -> list[Any]:
        """Return the data of all events of one name."""
        return [data for _, name, data in self.events if name == event]

    @property
    def last_id(self) -> str:
        """Return the id a browser would come back with."""
        return next((id_ for id_, _, _ in reversed(self.events) if id_), "")

    def sagas(self) -> dict[str, str]:
        """Return the statuses a list would show that was empty at the beginning."""
        shown: dict[str, str] = {}
        for told in self.of("sagas"):
            shown |= {saga["sagaId"]: saga["status"] for saga in told["sagas"]}
            for saga_id in told["gone"]:
                shown.pop(saga_id, None)
        return shown


class Office:
    """A world with the live routes, as one process offers them."""

    def __init__(self, world: World, **settings: Any) -> None:  # noqa: ANN401  # any setting
        def lifespan(_: FastAPI) -> nullcontext[None]:
            return nullcontext()

        self.world = world
        self.wire: Wire = world.wire()
        self._app = bare_app("coordinator", lifespan, is_open=lambda: True, always=())
        routes = live_routes([TRIP], bus=self.wire.bus, settings=world.settings.model_copy(update=settings))
        self._app.include_router(routes)

    @asynccontextmanager
    async def following(self, path: str = "/api/v1/events", last: str = "") -> AsyncIterator[Follower]:
        """Follow for as long as the block runs."""
        client = httpx.AsyncClient(transport=LocalTransport(self._app), base_url="http://shop")
        headers = {"Last-Event-ID": last} if last else {}
        async with client, client.stream("GET", path, headers=headers) as answer:
            follower = Follower(answer.status_code, answer.headers)
            reading = asyncio.create_task(self._read(answer, follower))
            try:
                yield follower
            finally:
                reading.cancel()
                await asyncio.wait({reading})

    @asynccontextmanager
    async def unread(self, path: str = "/api/v1/events") -> AsyncIterator[None]:
        """Follow for as long as the block runs, and take nothing of what comes."""
        client = httpx.AsyncClient(transport=LocalTransport(self._app), base_url="http://shop")
        async with client, client.stream("GET", path):
            yield

    async def _read(self, answer: httpx.Response, follower: Follower) -> None:
        told: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                follower.comments.append((self.world.loop.time(), line))
            elif line:
                name, _, value = line.partition(": ")
                told[name] = value
            elif told:
                follower.events.append((told.get("id", ""), told["event"], json.loads(told["data"])))
                follower.at.append(self.world.loop.time())
                told = {}
        follower.is_over = True
