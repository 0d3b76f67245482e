"""Customers and operators over HTTP, at a steady low pace: orders of every kind, pages, statistics, figures."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import httpx

from demo.scenes import SCENES, Twist
from money import currency
from sagastream import Entrance, Settings, connect
from sagastream.together import set_within
from stock_service.catalogue import demo_levels, seed
from stock_service.handlers import stock

LOOKS = ("/api/choreographedsaga/states?limit=50", "/api/choreographedsaga/statistics", "/metrics", "/health")
_SHARES = (60, 5, 12, 5, 6, 5, 5, 2)  # of the demo's scenes, in their order
_LOOK_EVERY = timedelta(seconds=2)
_TRIES = 5
_SHORT = ("scarce-product", "sold-out-product")
_PIECES = 10**9


async def fill_shelves(url: str) -> None:
    """Fill the stock of the demo's products for good, except of those that must run out."""
    settings = Settings(redis_url=url)
    bus = connect(url, name="soak", block=settings.block)
    try:
        levels = [
            level if level.product_id in _SHORT else replace(level, available=_PIECES, initial=_PIECES)
            for level in demo_levels(currency("EUR"))
        ]
        await seed(levels, Entrance(stock, bus=bus, settings=settings))
    finally:
        await bus.close()


class Customers:
    """Place orders and read pages. ``placed`` orders were accepted, ``refused`` got a 503 and are sent again later."""

    def __init__(self, http: httpx.AsyncClient, seed: int = 1) -> None:
        self._http = http
        self._chance = random.Random(seed)
        self.placed = self.refused = 0

    async def run(self, rate: float, stop: asyncio.Event) -> None:
        """Place ``rate`` orders a second until ``stop`` is set."""
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_on(stop))
            while not stop.is_set():
                number += 1
                await asyncio.sleep(began + number / rate - loop.time())
                tasks.create_task(self._order(number))

    async def _order(self, number: int) -> None:
        (scene,) = self._chance.choices(SCENES, _SHARES)
        body = {**scene.body(), "customerId": f"customer-{number % 300}"}
        headers = {"Idempotency-Key": f"soak-{number}"}
        answer = await self._asked("POST", "/api/orders/choreographed-saga", json=body, headers=headers)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.refused += 1
            return
        answer.raise_for_status()
        self.placed += 1
        if scene.twist is Twist.CANCEL:
            await self._asked("POST", f"/api/orders/{answer.json()['orderId']}/cancel")

    async def _asked(self, method: str, path: str, **told: object) -> httpx.Response:
        """Send a request, and repeat it once if a kept-alive connection was closed at the same instant."""
        for _ in range(_TRIES - 1):
            with suppress(httpx.TransportError):
                return await self._http.request(method, path, **told)  # type: ignore[arg-type]  # json, headers
        return await self._http.request(method, path, **told)  # type: ignore[arg-type]  # the same

    async def _look_on(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for path in LOOKS:
                await self._asked("GET", path)
            await set_within(stop, _LOOK_EVERY)
