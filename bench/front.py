"""From order to end over HTTP: ``python -m bench.front``.

Concurrent customers each place an order, wait for its acceptance and place the next. The clock runs from the first
order to the last end, as published by the script that writes the record. Shop, server and customers share the machine;
the CPU time of each is shown beside the throughput.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bench.customers import Answer, Customers
from bench.ends import Ends
from bench.machine import described
from bench.meter import Meter
from bench.rows import append
from bench.shop import ARRANGEMENTS, Shop, opened
from bench.workers import settle_memory

WITHIN_S = 60.0
_WARM = 50


@dataclass(frozen=True, slots=True)
class Rush:
    """The cost of one run: orders accepted and ended, the durations of both, and the CPU time of each part."""

    orders: int
    accepted: int
    ended: int
    accepting_s: float
    seconds: float
    server_cpu_s: float
    shop_cpu_s: float
    customers_cpu_s: float
    server: str

    @property
    def is_sound(self) -> bool:
        """Tell whether every order was accepted and ended."""
        return self.orders == self.accepted == self.ended

    @property
    def orders_per_s(self) -> float:
        """Return the number of orders accepted and ended per second."""
        return self.ended / self.seconds

    def us(self, cpu_s: float) -> float:
        """Return CPU microseconds per order."""
        return cpu_s / self.orders * 1e6


async def measured(shop: Shop, *, orders: int, customers: int) -> Rush:
    """Let customers order from a running shop.

    Raises: ``TimeoutError`` if it does not accept all their orders in time.
    """
    async with (
        Meter(shop.redis_url) as meter, Ends(shop.redis_url) as ends, Customers(shop.port, most=customers) as buying
    ):  # fmt: skip
        warm = [await buying.order(number) for number in range(_WARM)]
        await ends.until((answer.saga_id for answer in warm if answer.saga_id), within_s=WITHIN_S)
        settle_memory()
        server, shops, own = await meter.server_cpu_s(), shop.python_cpu_s(), time.process_time()
        began = time.perf_counter()
        async with asyncio.timeout(2 * WITHIN_S):
            answers = await _all_placed(buying, orders, customers)
        accepting_s = time.perf_counter() - began
        accepted = [answer.saga_id for answer in answers if answer.status == 202]
        await ends.until(accepted, within_s=WITHIN_S)
        own = time.process_time() - own
        shops, server = shop.python_cpu_s() - shops, await meter.server_cpu_s() - server
        ended = [ends.at[saga_id] for saga_id in accepted if saga_id in ends.at]
        return Rush(
            orders, len(accepted), len(ended), accepting_s, max(ended, default=began + WITHIN_S) - began, server, shops,
            own, await meter.server_version(),
        )  # fmt: skip


async def _all_placed(buying: Customers, orders: int, customers: int) -> list[Answer]:
    numbers = iter(range(orders))
    answers: list[Answer] = []

    async def buy() -> None:
        for number in numbers:
            answers.append(await buying.order(number))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(customers):
            tasks.create_task(buy())
    return answers


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table; return 1 if an order was refused or did not end."""
    asked = _parser().parse_args(arguments)
    on = described()
    print(f"{asked.orders} orders by {asked.customers} customers per run · commit {on['commit']}")
    print(f"{on['cpu']}, {on['cores']} cores, load {on['load']} · Python {on['python']}\n")
    print(f"{'fsync':<9} {'shop':<6} {'orders/s':>9} {'accepted/s':>11} {'server µs':>10} {'shop µs':>9}"
          f" {'customers µs':>13}")  # fmt: skip
    is_sound = True
    for policy, arrangement in product(asked.appendfsync, asked.arrangement):
        runs: list[Rush] = []
        for _ in range(asked.repeat):
            with opened(arrangement, policy) as shop:
                runs.append(asyncio.run(measured(shop, orders=asked.orders, customers=asked.customers)))
            if not runs[-1].is_sound:
                is_sound = False
                print(f"  NOT AS IT MUST: {runs[-1].accepted} accepted, {runs[-1].ended} ended", file=sys.stderr)
        row = _row(runs)
        print(f"{policy:<9} {arrangement:<6} {row['orders_per_s']:>9} {row['accepted_per_s']:>11}"
              f" {row['server_us']:>10} {row['shop_us']:>9} {row['customers_us']:>13}", flush=True)  # fmt: skip
        if asked.csv is not None:
            told = {"appendfsync": policy, "shop": arrangement, "orders": str(asked.orders), "runs": str(len(runs))}
            append(asked.csv, [{**on, "server": runs[0].server, **told, **row}])
    return 0 if is_sound else 1


def _row(runs: Sequence[Rush]) -> dict[str, str]:
    middle = {
        "orders_per_s": [run.orders_per_s for run in runs],
        "accepted_per_s": [run.accepted / run.accepting_s for run in runs],
        "server_us": [run.us(run.server_cpu_s) for run in runs],
        "shop_us": [run.us(run.shop_cpu_s) for run in runs],
        "customers_us": [run.us(run.customers_cpu_s) for run in runs],
    }
    return {name: f"{statistics.median(values):.0f}" for name, values in middle.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.front", description=__doc__)
    parser.add_argument("--orders", type=int, default=3000, help="orders per run (3000)")
    parser.add_argument("--customers", type=int, default=64, help="who order at the same time (64)")
    parser.add_argument("--repeat", type=int, default=3, help="runs per line, of which the median is shown (3)")
    parser.add_argument("--appendfsync", nargs="+", choices=("no", "everysec", "always"), default=["everysec"])
    parser.add_argument("--arrangement", nargs="+", choices=list(ARRANGEMENTS), default=list(ARRANGEMENTS),
                        help="the shop in one process, in one per service, or both")  # fmt: skip
    parser.add_argument("--csv", type=Path, help="append a row per line to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
