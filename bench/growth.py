"""The cost of many stored sagas: ``python -m bench.growth``.

One server is filled with more and more sagas, as the coordinator would have stored them (``bench.stored``). At each
size the engine runs fresh sagas beside them, alternating with as many on a server that keeps the smallest size: a
machine's speed changes within minutes, so only figures measured side by side show the effect of size. Every question
is sent to the coordinator over HTTP (``bench.reads``), and the server reports the memory of a stored saga: all of it
(record, history, indexes, figures), and that of its history alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import lay_ready
from bench.machine import described
from bench.meter import Ended, Meter
from bench.questions import questions
from bench.reads import ask, served
from bench.rows import append
from bench.runs import WITHIN_S
from bench.stored import TABLES, Life, fill
from bench.times import Times
from bench.workers import NAMES, running, settle_memory
from sagastream import keys as names
from sagastream.coordinator.meaning import Meanings
from sagastream.embedded import EmbeddedServer
from sagastream.logs import configure
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings

SIZES = (1_000, 10_000, 100_000, 1_000_000)
_SAMPLE = 500
_ONE_IN = 100  # one extra saga per this many stored ones is run before any is measured
_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a fresh saga in one run beside the stored ones."""

    sagas_per_s: float
    server_us: float
    python_us: float

    @property
    def us(self) -> float:
        """Return the total cost."""
        return self.server_us + self.python_us


@dataclass(frozen=True, slots=True)
class Size:
    """The results at one size; each of ``beside`` was measured right before its counterpart in ``costs``."""

    stored: int
    costs: tuple[Cost, ...]
    beside: tuple[Cost, ...]
    bytes_per_saga: float
    history_bytes: float
    reads: tuple[Times, ...]

    def row(self) -> dict[str, str]:
        """Return the figures as columns."""
        pages = [times for times in self.reads if times.kind.startswith(("all", "status", "business", "init", "span"))]
        counts = [times for times in self.reads if times.kind.startswith("statistics")]
        return {
            "stored": str(self.stored),
            "sagas_per_s": f"{statistics.median(cost.sagas_per_s for cost in self.costs):.0f}",
            "server_us_per_saga": f"{statistics.median(cost.server_us for cost in self.costs):.1f}",
            "python_us_per_saga": f"{statistics.median(cost.python_us for cost in self.costs):.1f}",
            "times_all": f"{self._times(lambda cost: cost.us):.2f}",
            "times_server": f"{self._times(lambda cost: cost.server_us):.2f}",
            "bytes_per_saga": f"{self.bytes_per_saga:.0f}",
            "history_bytes": f"{self.history_bytes:.0f}",
            "pages_worst_p99_ms": f"{max(times.percentile(0.99) for times in pages):.1f}",
            "statistics_worst_p99_ms": f"{max(times.percentile(0.99) for times in counts):.1f}",
        }

    def _times(self, of: Callable[[Cost], float]) -> float:
        """Return the ratio to the cost beside the smallest size."""
        pairs = zip(self.costs, self.beside, strict=True)
        return statistics.median(of(here) / of(there) for here, there in pairs)


class NotEnded(Exception):
    """A run beside stored sagas did not end as it must."""


async def stored_until(url: str, size: int, already: int) -> tuple[list[Life], float, float]:
    """Fill a store up to a size; return all lives, the bytes of each new one, and the bytes of its history."""
    async with Meter(url) as meter:
        await meter.set("auto-aof-rewrite-percentage", "0")  # a rewrite's child process would be measured too
        await meter.set_appendfsync("no")
        before = await meter.bytes_used()
        stored = await fill(url, size, already=already)
        # The first run beside this store would otherwise answer the requests published while filling it.
        await meter.empty(*Meanings(TABLES).publications())
        took = (await meter.bytes_used() - before) / max(1, size - already)
        ended = [life for life in stored if Status(life.status).is_end]
        sample = random.Random(1).sample(ended, min(_SAMPLE, len(ended)))
        history = await meter.bytes_of(*(names.history(life.saga_id) for life in sample)) / len(sample)
    return stored, took, history


async def settle(url: str, sagas: int, named: str) -> None:
    """Let a freshly filled store come to rest: freed memory, and hash tables that have just doubled.

    A million stored sagas are two million keys, nearly the size at which a table doubles: the measured sagas
    would pay for that. Of a shop's sagas, with ten keys each, one in fifteen does.
    """
    for at in range(0, sagas, _AT_ONCE):
        await cost(url, min(_AT_ONCE, sagas - at), f"{named}-{at}")
    async with Meter(url) as meter:
        await meter.end_rehashing()


async def cost(url: str, sagas: int, named: str) -> Cost:
    """Run fresh sagas, all workers in this process; return the cost of one.

    Raises: ``NotEnded``.
    """
    async with Meter(url) as meter:
        before = await meter.until_ended(0, within_s=0)
        await lay_ready(url, sagas, declined=0, named=named)
        settle_memory()
        server, python = await meter.server_cpu_s(), time.process_time()
        async with running(NAMES, url):
            ended = await meter.until_ended(before.sagas + sagas, within_s=WITHIN_S)
            python = time.process_time() - python
            server = await meter.server_cpu_s() - server
        if _completed(ended) - _completed(before) != sagas:
            raise NotEnded(f"{before.by_status} became {ended.by_status} with {sagas} more sagas")
        return Cost(sagas / ended.seconds, server / sagas * 1e6, python / sagas * 1e6)


def _completed(ended: Ended) -> int:
    return ended.by_status.get(Status.COMPLETED, 0)


def measured(url: str, smallest: str, size: int, already: int, *, sagas: int, repeat: int) -> Size:
    """Fill a store to a size and measure there, alternating with the store of the ``smallest`` size."""
    stored, took, history = asyncio.run(stored_until(url, size, already))
    gc.collect()  # the garbage of filling must not be collected while sagas run,
    os.sync()  # and the gigabytes it wrote must not be flushed to disk meanwhile
    asyncio.run(settle(url, size // _ONE_IN, f"settling-{size}"))
    pairs = [
        [asyncio.run(cost(each, sagas, f"beside-{size}-{at}")) for each in (smallest, url)] for at in range(repeat)
    ]
    beside, costs = zip(*pairs, strict=True)
    asked = questions(stored)
    del stored
    with served(url) as port:
        found = ask(port, asked)
        for _ in range(repeat - 1):  # other load on the machine can only make an answer slower
            again = zip(found, ask(port, asked), strict=True)
            found = [min(pair, key=lambda times: times.percentile(0.99)) for pair in again]
    return Size(size, costs, beside, took, history, tuple(found))


@contextmanager
def _server() -> Iterator[EmbeddedServer]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, EmbeddedServer(Path(directory)) as server:
        yield server


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="how many are stored (1k to 1M)")
    parser.add_argument("--sagas", type=int, default=1000, help="fresh sagas per run (1000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs and rounds at each size (3)")
    parser.add_argument("--csv", type=Path, help="append a row per size to this file")
    asked = parser.parse_args(arguments)
    on = described()
    print(f"{asked.sagas} fresh sagas per run beside those stored, no fsync · commit {on['commit']}")
    print(f"{on['cpu']}, {on['cores']} cores, load {on['load']} · Python {on['python']}\n")
    print(f"{'stored':>9} {'sagas/s':>8} {'server µs':>10} {'python µs':>10} {'times':>6} {'server':>7}"
          f" {'bytes/saga':>11} {'history':>8} {'pages p99 ms':>13} {'statistics p99':>15}")  # fmt: skip
    already = 0
    with _server() as server, _server() as least:
        asyncio.run(stored_until(least.url, min(asked.sizes), 0))
        for size in sorted(asked.sizes):
            row = measured(server.url, least.url, size, already, sagas=asked.sagas, repeat=asked.repeat).row()
            already = size
            widths = (9, 8, 10, 10, 6, 7, 11, 8, 13, 15)
            print(" ".join(f"{text:>{width}}" for text, width in zip(row.values(), widths, strict=True)), flush=True)
            if asked.csv is not None:
                append(asked.csv, [{**on, **row}])
    return 0


if __name__ == "__main__":
    configure(Settings(log_level="ERROR"))
    sys.exit(main())
