"""Orders at a steady pace: no order waits for the one before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from bench.load import an_order
from order_service.handlers import order, place
from sagastream import Entrance, Settings
from sagastream.bus import Bus


class Steady:
    """Places orders through the shop's own entrance; ``methods`` are their shares."""

    def __init__(self, bus: Bus, methods: Mapping[str, float], *, first: int = 0) -> None:
        self._entrance = Entrance(order, bus=bus, settings=Settings())
        self._methods = methods
        self._chance = random.Random(1)
        self._next = first

    async def run(self, rate: float, seconds: float) -> dict[str, str]:
        """Place ``rate`` orders a second for ``seconds``; return the payment method of each saga."""
        loop = asyncio.get_running_loop()
        began, placed = loop.time(), dict[str, str]()
        async with asyncio.TaskGroup() as tasks:
            for at in range(int(rate * seconds)):
                await asyncio.sleep(began + at / rate - loop.time())
                (method,) = self._chance.choices(list(self._methods), list(self._methods.values()))
                wanted = an_order(f"steady-{self._next}", self._next, self._entrance, method)
                self._next += 1
                placed[wanted.saga_id] = method
                tasks.create_task(place(wanted, self._entrance))
        return placed
