"""How quickly required reactions follow: ``python -m bench.latencies``, or ``make bench-latencies``.

All times come from stream entry ids, so from the server's clock. Ends with 1 if a bound is broken. Only figures from
an otherwise idle machine are meaningful: each is shown with the load.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from bench.latencies.scenes import SCENES, Asked, Found
from bench.latencies.shop import opened
from bench.machine import described
from bench.shop import ARRANGEMENTS
from sagastream.logs import configure
from sagastream.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the requested scenes and print a table; return 1 if a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.latencies", description=__doc__)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"{', '.join(SCENES)} (all of them)")
    parser.add_argument("--rate", type=float, default=200.0, help="orders a second (200)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of orders that are measured (20)")
    parser.add_argument("--stuck", type=int, default=15_000, help="sagas that need attention, to be drained (15000)")
    parser.add_argument("--drain", type=float, default=100.0, help="of those so many a second (100)")
    parser.add_argument("--rounds", type=int, default=2, help="of the scene with disorder (2)")
    parser.add_argument("--arrangement", choices=list(ARRANGEMENTS), default="one",
                        help="the shop in one process, as of `make run`, or in one per service (one)")  # fmt: skip
    told = parser.parse_args(arguments)
    unknown = set(told.scenes) - SCENES.keys()
    if unknown:
        parser.error(f"there is no scene {', '.join(sorted(unknown))}")
    asked = Asked(told.rate, told.seconds, told.stuck, told.drain, told.rounds)
    on = described()
    print(f"{told.rate:g} orders a second for {told.seconds:g} s, shop: {told.arrangement} · commit {on['commit']} · "
          f"{on['cpu']}, {on['cores']} cores · Python {on['python']} · redis-py {on['redis_py']}\n")  # fmt: skip
    print(f"{'':<60} {'times':>7} {'p50 ms':>7} {'p99 ms':>7} {'max ms':>7} {'bound':>8} {'load':>5}")
    is_kept = True
    for name in told.scenes or SCENES:
        for found in asyncio.run(_measured(name, asked, told.arrangement)):
            is_kept = is_kept and found.is_kept
            print(_line(found), flush=True)
    return 0 if is_kept else 1


async def _measured(name: str, asked: Asked, arrangement: str) -> list[Found]:
    async with opened(arrangement=arrangement) as store:
        return await SCENES[name](asked, store)


def _line(found: Found) -> str:
    times = found.times
    shares = [f"{times.percentile(share):7.0f}" for share in (0.5, 0.99, 1.0)] if times.ms else ["   none"] * 3
    bound = "" if found.bound_ms is None else f"< {found.bound_ms:g}"
    if found.ratio is not None and times.ms:
        bound = f"{found.ratio:.2f} x"
    broken = "" if found.is_kept else "  BROKEN"
    note = f"\n  {found.note}" if found.note else ""
    return f"{times.kind:<60} {len(times.ms):>7} {' '.join(shares)} {bound:>8} {found.load:5.1f}{broken}{note}"


if __name__ == "__main__":
    configure(Settings(log_level="ERROR"))
    sys.exit(main())
