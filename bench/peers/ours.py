"""The order saga in this project, timed as its peers are: from the first saga begun to the last one ended."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from bench.load import fill_shelves, lay_ready
from bench.meter import Meter
from bench.processes import Processes
from bench.workers import NAMES, running, settle_memory
from sagastream.embedded import EmbeddedServer
from sagastream.saga.lifecycle import Status

_WARM = 20
_WITHIN_S = 60.0


class NotEnded(Exception):
    """Sagas did not end as they must."""


def timed(sagas: int, appendfsync: str, arrangement: str) -> float:
    """Return how many seconds so many sagas took with the shop's real participants, all guarantees on.

    Raises: ``NotEnded``.
    """
    return asyncio.run(_timed(sagas, appendfsync, arrangement))


async def _timed(sagas: int, appendfsync: str, arrangement: str) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, EmbeddedServer(Path(directory)) as server:
        async with Meter(server.url) as meter:
            await meter.set_appendfsync(appendfsync)
            await fill_shelves(server.url)
            if arrangement == "one":
                async with running(NAMES, server.url):
                    return await _begun_and_ended(server.url, meter, sagas)
            with Processes(NAMES, server.url) as processes:
                processes.set_off()
                return await _begun_and_ended(server.url, meter, sagas)


async def _begun_and_ended(url: str, meter: Meter, sagas: int) -> float:
    await lay_ready(url, _WARM, declined=0, named="warm")
    await meter.until_ended(_WARM, within_s=_WITHIN_S)
    settle_memory()
    began = time.perf_counter()
    await lay_ready(url, sagas, declined=0)
    ended = await meter.until_ended(_WARM + sagas, within_s=_WITHIN_S)
    seconds = time.perf_counter() - began
    if ended.by_status != {Status.COMPLETED: _WARM + sagas}:
        raise NotEnded(f"{ended.by_status} of {_WARM + sagas} sagas ended")
    return seconds
