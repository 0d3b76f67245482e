"""The customers: so many orders at a bounded rate, some for too much, some called off. The seed says who wants what."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from tests.processes.orders import METHODS, Body, Placed, an_order
from tests.processes.shop import TRY_AGAIN, Shop
from tests.processes.until import until

WEIGHTS = (26, 14, 14, 10, 5, 10, 11, 10)  # of the payment methods, in their order
_PRODUCTS = ("product-1", "product-2", "product-3", "product-4")
_SHORT, _CALLED_OFF = 0.04, 0.08
_SECOND_THOUGHTS_S = 2.0
_AT_ONCE = 60
_ANSWER_S = 120.0


@dataclass(frozen=True)
class Wish:
    """One order: what is wanted, and after how long it is called off."""

    number: int
    body: Body
    called_off_s: float | None


def wishes(seed: int, many: int) -> Iterator[Wish]:
    """Yield what the customers want."""
    chance = random.Random(f"{seed} customers")
    for number in range(many):
        lines = [(product, chance.randint(1, 2)) for product in chance.sample(_PRODUCTS, chance.randint(1, 2))]
        if chance.random() < _SHORT:
            lines.append(("sold-out-product", 1))
        method = chance.choices(METHODS, WEIGHTS)[0]
        called_off = chance.uniform(0, _SECOND_THOUGHTS_S) if chance.random() < _CALLED_OFF else None
        yield Wish(number, an_order(*lines, method=method, customer=f"customer-{chance.randint(1, 500)}"), called_off)


class Customers:
    """Places orders, each under a key of its own until it is accepted. ``placed`` and ``cancelled`` are the answers."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self._shop = shop
        self._seed = seed
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.placed: list[Placed] = []
        self.cancelled = 0

    async def order(self, many: int, rate: float) -> None:
        """Place so many orders, no more than ``rate`` of them in a second.

        Raises: ``AssertionError`` if one is refused, or not answered in time.
        """
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for wish in wishes(self._seed, many):
                await asyncio.sleep(next_at - loop.time())
                await self._room.acquire()
                next_at = max(next_at, loop.time() - 1) + 1 / rate
                tasks.create_task(self._go(wish))

    async def _go(self, wish: Wish) -> None:
        try:
            placed = await self._shop.place(wish.body, key=f"chaos-{self._seed}-{wish.number}", within_s=_ANSWER_S)
            self.placed.append(placed)
        finally:
            self._room.release()
        if wish.called_off_s is not None:
            await asyncio.sleep(wish.called_off_s)
            self.cancelled += await self._call_off(placed)

    async def _call_off(self, placed: Placed) -> bool:
        async def ask() -> httpx.Response | None:
            try:
                answer = await self._shop.http.post(f"/api/orders/{placed.order_id}/cancel")
            except httpx.TransportError:
                return None
            return None if answer.status_code in TRY_AGAIN else answer

        answer = await until(ask, "an answer to a cancellation", _ANSWER_S, every_s=0.2)
        assert answer.status_code in (202, 409), answer.text
        return answer.status_code == 202
