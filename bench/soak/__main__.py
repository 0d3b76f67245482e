"""A whole shop running for a long time, and whether anything grows: ``python -m bench.soak --minutes 30``.

Retention is so short that after some minutes as much is removed as is added. Ends with 1 if memory, keys or
descriptors of anything have grown by more than is allowed over the last two thirds of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from bench.latencies.shop import opened
from bench.machine import described
from bench.soak.customers import Customers, fill_shelves
from bench.soak.growth import Growth
from bench.soak.shop import RETENTION, Series, Watch
from sagastream.together import set_within

LOOKS = 60  # samples over the whole time


def main() -> int:
    """Soak, print what has grown, and return 1 if something has grown more than allowed."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--rate", type=float, default=20.0, help="orders a second (20)")
    parser.add_argument("--csv", type=Path, help="write every sample to this file")
    told = parser.parse_args()
    on = described()
    print(f"{told.minutes:g} minutes at {told.rate:g} orders a second · commit {on['commit']} · {on['cpu']}, "
          f"{on['cores']} cores · Python {on['python']}", flush=True)  # fmt: skip
    try:
        customers, watch = asyncio.run(_soaked(told.minutes * 60, told.rate))
    except KeyboardInterrupt:
        return 130
    verdicts = watch.verdicts()
    print(f"{customers.placed} orders, {customers.refused} asked to come back later; load {os.getloadavg()[0]:.1f}\n")
    print(*_table(verdicts), sep="\n")
    if told.csv is not None:
        _write(told.csv, watch.series)
    return int(not all(each.is_flat for each in verdicts))


async def _soaked(seconds: float, rate: float) -> tuple[Customers, Watch]:
    async with opened(fill_shelves) as store, store.shop(1.0, **RETENTION) as shop:
        customers, watch, stop = Customers(shop.http), Watch(store.directory, store.bus.query), asyncio.Event()
        loop = asyncio.get_running_loop()
        over = loop.time() + seconds
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(customers.run(rate, stop))
            try:
                while loop.time() < over:
                    await set_within(stop, timedelta(seconds=min(seconds / LOOKS, over - loop.time())))
                    await watch.look(customers.placed)
            finally:
                stop.set()
        return customers, watch


def _table(verdicts: Iterable[Growth]) -> Iterable[str]:
    yield "| what | after a third | at the end | grew by its slope | allowed | |"
    yield "|---|---|---|---|---|---|"
    for each in verdicts:
        told = "flat" if each.is_flat else "**GROWS**"
        begins, ends, grew, allowed = (f"{value:,.2f}" for value in (each.begins, each.ends, each.grew, each.allowed))
        yield f"| {each.what}, {each.unit} | {begins} | {ends} | {grew} | {allowed} | {told} |".replace(",  |", " |")


def _write(file: Path, series: Series) -> None:
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["what", "of", "at_s", "value"])
        for what, told in (("memory_mb", series.memory_mb), ("descriptors", series.descriptors),
                           ("keys", series.keys), ("store_mb", series.store_mb)):  # fmt: skip
            for name, samples in told.items():
                writer.writerows([what, name, f"{each.at_s:.1f}", f"{each.value:.3f}"] for each in samples)


if __name__ == "__main__":
    sys.exit(main())
