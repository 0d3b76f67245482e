"""From POST to final status, at a given number of orders a second: ``python -m bench.latency``.

Open loop: order *n* is due at a fixed instant, whatever happens to those before it, and its time counts from that
instant. A shop, or a customer, that stalls delays all orders due meanwhile, as in production. The end is seen by a
blocking read of the events that the record-writing script publishes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bench.customers import Customers
from bench.ends import Ends
from bench.machine import described
from bench.rows import append
from bench.shop import ARRANGEMENTS, Shop, opened
from bench.times import Times
from bench.workers import settle_memory

RATES = (1, 50, 200, 1000)
SHARES = {"p50_ms": 0.5, "p99_ms": 0.99, "p99.9_ms": 0.999, "max_ms": 1.0}
_MOST = 500  # connections
_WARM = 20
_GRACE_S = 10.0
_PATIENCE_S = 60.0  # beyond the nominal duration, until the run is given up


@dataclass(frozen=True, slots=True)
class Course:
    """One run at one rate: each order's time to acceptance and to its end, and the number of orders without an end."""

    rate: int
    due: int
    ends: Times
    answers: Times

    @property
    def without_end(self) -> int:
        """Return how many orders were refused or had not ended when the waiting time was over."""
        return self.due - len(self.ends.ms)


async def measured(shop: Shop, rates: Sequence[int], *, seconds: float) -> list[Course]:
    """Place orders at one rate after the other in a running shop.

    Raises: ``TimeoutError`` if the shop, or the machine, is too slow to finish.
    """
    async with Ends(shop.redis_url) as ends, Customers(shop.port, most=_MOST) as buying:
        warm = [await buying.order(number) for number in range(_WARM)]
        await ends.until((answer.saga_id for answer in warm if answer.saga_id), within_s=_GRACE_S)
        settle_memory()
        courses = []
        for rate in rates:
            due = count(rate, seconds)
            async with asyncio.timeout(due / rate + _PATIENCE_S):
                courses.append(await _course(buying, ends, rate, due))
        return courses


def count(rate: int, seconds: float) -> int:
    """Return how many orders are placed at a rate; a slow rate runs longer, to have enough orders for percentiles."""
    return max(round(rate * seconds), min(30, round(30 * seconds)))


async def _course(buying: Customers, ends: Ends, rate: int, due: int) -> Course:
    answered: dict[str, tuple[float, float]] = {}

    async def buy(number: int, at: float) -> None:
        answer = await buying.order(number)
        if answer.saga_id:
            answered[answer.saga_id] = (at, time.perf_counter())

    start = time.perf_counter() + 0.1
    async with asyncio.TaskGroup() as tasks:
        for number in range(due):
            at = start + number / rate
            # Waking early and spinning would take CPU from the shop; waking late counts against the result.
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            tasks.create_task(buy(number, at))
    await ends.until(answered, within_s=_GRACE_S)
    took = [(ends.at[saga_id] - at) * 1000 for saga_id, (at, _) in answered.items() if saga_id in ends.at]
    waited = [(answer - at) * 1000 for at, answer in answered.values()]
    return Course(rate, due, Times("end", tuple(sorted(took))), Times("answer", tuple(sorted(waited))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table; return 1 if an order did not end."""
    asked = _parser().parse_args(arguments)
    on = described()
    print(f"orders for {asked.seconds:g} s at each rate · commit {on['commit']}")
    print(f"{on['cpu']}, {on['cores']} cores, load {on['load']} · Python {on['python']}\n")
    print(f"{'fsync':<9} {'shop':<6} {'orders/s':>9} {'orders':>7} {'no end':>7}"
          f" {'p50 ms':>8} {'p99 ms':>8} {'p99.9':>8} {'max ms':>8} {'answer p50':>11} {'p99':>8}")  # fmt: skip
    is_sound = True
    for policy, arrangement in product(asked.appendfsync, asked.arrangement):
        with opened(arrangement, policy) as shop:
            found = asyncio.run(measured(shop, asked.rates, seconds=asked.seconds))
        for course in found:
            is_sound = is_sound and not course.without_end
            row = _row(course)
            ends = " ".join(f"{row[name]:>8}" for name in SHARES)
            print(f"{policy:<9} {arrangement:<6} {row['rate']:>9} {row['orders']:>7} {row['without_end']:>7} {ends}"
                  f" {row['answer_p50_ms']:>11} {row['answer_p99_ms']:>8}", flush=True)  # fmt: skip
            if asked.csv is not None:
                append(asked.csv, [{**on, "appendfsync": policy, "shop": arrangement, **row}])
    return 0 if is_sound else 1


def _row(course: Course) -> dict[str, str]:
    row = {"rate": str(course.rate), "orders": str(course.due), "without_end": str(course.without_end)}
    row |= {name: _told(course.ends, share) for name, share in SHARES.items()}
    return row | {f"answer_{name}": _told(course.answers, SHARES[name]) for name in ("p50_ms", "p99_ms")}


def _told(times: Times, share: float) -> str:
    return f"{times.percentile(share):.1f}" if times.ms else "-"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="how long orders come in at each rate (10)")
    parser.add_argument("--rates", type=int, nargs="+", default=list(RATES), help="orders a second (1 50 200 1000)")
    parser.add_argument(
        "--appendfsync", nargs="+", choices=("no", "everysec", "always"), default=["everysec", "always"]
    )
    parser.add_argument("--arrangement", nargs="+", choices=list(ARRANGEMENTS), default=["one"],
                        help="the shop in one process, in one per service, or both")  # fmt: skip
    parser.add_argument("--csv", type=Path, help="append a row per line to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
