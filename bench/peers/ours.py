"""The order saga in this project, timed as its peers are: from the first saga begun to the last one ended."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.load import fill_shelves, lay_ready
from bench.meter import Meter
from bench.peers.order_sagastream import begin, plain
from bench.processes import Processes
from bench.workers import NAMES, Cast, running, settle_memory, the_shop
from sagastream.embedded import EmbeddedServer
from sagastream.saga.lifecycle import Status

_WARM = 20
_WITHIN_S = 60.0


class NotEnded(Exception):
    """Sagas did not end as they must."""


@dataclass(frozen=True, slots=True)
class Play:
    """The cast of the order's saga, and how to begin sagas; ``named`` distinguishes them from those of other runs."""

    casting: Callable[[], Cast]
    begin: Callable[[str, int, str], Awaitable[None]]


async def _lay_ready(url: str, sagas: int, named: str) -> None:
    await lay_ready(url, sagas, declined=0, named=named)


SHOP = Play(the_shop, _lay_ready)
PLAIN = Play(plain, begin)


def timed(play: Play, sagas: int, appendfsync: str, arrangement: str) -> float:
    """Return how many seconds this many sagas took, with all guarantees on.

    Raises: ``NotEnded``.
    """
    return asyncio.run(_timed(play, sagas, appendfsync, arrangement))


async def _timed(play: Play, sagas: int, appendfsync: str, arrangement: str) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, EmbeddedServer(Path(directory)) as server:
        async with Meter(server.url) as meter:
            await meter.set_appendfsync(appendfsync)
            await fill_shelves(server.url)
            if arrangement == "one":
                async with running(NAMES, server.url, play.casting):
                    seconds, by_status = await _begun_and_ended(play, server.url, meter, sagas)
            else:
                with Processes(NAMES, server.url, play.casting) as processes:
                    processes.set_off()
                    seconds, by_status = await _begun_and_ended(play, server.url, meter, sagas)
    if by_status != {Status.COMPLETED: _WARM + sagas}:
        raise NotEnded(f"{by_status} of {_WARM + sagas} sagas ended")
    return seconds


async def _begun_and_ended(play: Play, url: str, meter: Meter, sagas: int) -> tuple[float, dict[Status, int]]:
    await play.begin(url, _WARM, "warm")
    await meter.until_ended(_WARM, within_s=_WITHIN_S)
    settle_memory()
    began = time.perf_counter()
    await play.begin(url, sagas, "order")
    ended = await meter.until_ended(_WARM + sagas, within_s=_WITHIN_S)
    return time.perf_counter() - began, ended.by_status
