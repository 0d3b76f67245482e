"""One run: its own server, prepared work, the clock, the figures."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.load import lay_ready
from bench.meter import Ended, Meter
from bench.processes import Processes
from bench.workers import NAMES, running, settle_memory
from sagastream.embedded import EmbeddedServer
from sagastream.saga.lifecycle import Status

WITHIN_S = 30.0  # time limit of a run
ARRANGEMENTS = ("one", "procs")
PATHS = {"completed": 0, "half-undone": 2, "undone": 1}  # one card in this many is declined


@dataclass(frozen=True, slots=True)
class Case:
    """What to run: the workers in one process or each in its own, and the outcome of the sagas."""

    arrangement: str
    path: str
    appendfsync: str
    sagas: int

    @property
    def declined(self) -> int:
        """Return the number of sagas to be undone."""
        every = PATHS[self.path]
        return self.sagas // every if every else 0

    def is_true(self, ended: Ended) -> bool:
        """Tell whether every saga ended, and as it must."""
        wanted = {Status.COMPLETED: self.sagas - self.declined, Status.COMPENSATED: self.declined}
        return ended.by_status == {status: count for status, count in wanted.items() if count}


@dataclass(frozen=True, slots=True)
class Figures:
    """The cost of one run."""

    case: Case
    ended: Ended
    server_cpu_s: float
    python_cpu_s: float
    server: str

    @property
    def sagas_per_s(self) -> float:
        """Return the throughput from the start of the workers to the last end."""
        return self.ended.sagas / self.ended.seconds

    @property
    def server_us(self) -> float:
        """Return the server's CPU microseconds per saga."""
        return self.server_cpu_s / max(1, self.ended.sagas) * 1e6

    @property
    def python_us(self) -> float:
        """Return the workers' CPU microseconds per saga."""
        return self.python_cpu_s / max(1, self.ended.sagas) * 1e6


async def measured(case: Case) -> Figures:
    """Run a case on a server started for it, and end it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, EmbeddedServer(Path(directory)) as server:
        async with Meter(server.url) as meter:
            await meter.set_appendfsync(case.appendfsync)
            await lay_ready(server.url, case.sagas, declined=case.declined)
            if case.arrangement == "one":
                return await _in_one(case, server.url, meter)
            return await _in_processes(case, server.url, meter)


async def _in_one(case: Case, url: str, meter: Meter) -> Figures:
    settle_memory()
    server_before, python_before = await meter.server_cpu_s(), time.process_time()
    async with running(NAMES, url):
        ended = await meter.until_ended(case.sagas, within_s=WITHIN_S)
        python = time.process_time() - python_before
        server = await meter.server_cpu_s() - server_before
    return Figures(case, ended, server, python, await meter.server_version())


async def _in_processes(case: Case, url: str, meter: Meter) -> Figures:
    with Processes(NAMES, url) as processes:
        before = await meter.server_cpu_s()
        processes.set_off()
        ended = await meter.until_ended(case.sagas, within_s=WITHIN_S)
        server = await meter.server_cpu_s() - before
        python = processes.cpu_s()
    return Figures(case, ended, server, python, await meter.server_version())
