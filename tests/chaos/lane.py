"""One lane of faults: every kind in turn, in an order and at moments that the seed decides, until told to stop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

from tests.chaos.faults import Fault, Kind

Act = Callable[[], Awaitable[Fault]]
_GAP_S = (0.2, 1.2)


async def lane(
    acts: Mapping[Kind, Act], chance: random.Random, stop: asyncio.Event, note: Callable[[Fault], None]
) -> None:
    """Play round after round of all kinds; a fault that has begun is brought to its end."""
    while True:
        for kind in chance.sample(list(acts), len(acts)):
            if stop.is_set():
                return
            note(await acts[kind]())
            await asyncio.sleep(chance.uniform(*_GAP_S))
