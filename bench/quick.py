"""The engine's speed in under a minute: ``python -m bench.quick``, or ``make bench-quick``.

Every guarantee is on: ledger, history, indexes, figures, deadlines, metrics. The sagas are begun before the workers
start; the clock runs until the last record says that its saga has ended. Compare figures of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import statistics
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from bench.machine import described
from bench.runs import ARRANGEMENTS, PATHS, Case, Figures, measured
from sagastream.logs import configure
from sagastream.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print a table; return 1 if a saga did not end as it must."""
    asked = _parser().parse_args(arguments)
    on = described()
    print(f"{asked.sagas} sagas of the order's table per run · commit {on['commit']}")
    print(f"{on['cpu']}, {on['cores']} cores, load {on['load']} · Python {on['python']}"
          f" · redis-py {on['redis_py']}\n")  # fmt: skip
    print(f"{'fsync':<9} {'workers':<8} {'path':<12} {'sagas/s':>8} {'server µs':>10} {'python µs':>10}")
    is_sound = True
    for case in _cases(asked):
        runs = [asyncio.run(measured(case)) for _ in range(asked.repeat)]
        middle = sorted(runs, key=lambda run: run.sagas_per_s)[len(runs) // 2]
        for run in runs:
            if not case.is_true(run.ended):
                is_sound = False
                print(f"  NOT AS IT MUST: {run.ended.by_status} after {run.ended.seconds:.0f} s", file=sys.stderr)
        print(_line(case, runs), flush=True)
        if asked.csv is not None:
            _append(asked.csv, _row(on, middle))
    return 0 if is_sound else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.quick", description=__doc__)
    policies = ("no", "everysec", "always")
    parser.add_argument("--sagas", type=int, default=1000, help="sagas per run (1000)")
    parser.add_argument("--repeat", type=int, default=1, help="runs per line, of which the median is shown (1)")
    parser.add_argument("--appendfsync", nargs="+", choices=policies, default=["no", "everysec"])
    parser.add_argument("--arrangement", nargs="+", choices=ARRANGEMENTS, default=list(ARRANGEMENTS),
                        help="all workers in one process, each in its own, or both")  # fmt: skip
    parser.add_argument("--path", nargs="+", choices=list(PATHS), default=list(PATHS),
                        help="every saga completed, or half of them undone")  # fmt: skip
    parser.add_argument("--csv", type=Path, help="append a row per line to this file")
    return parser


def _cases(asked: argparse.Namespace) -> list[Case]:
    return [
        Case(arrangement, path, policy, asked.sagas)
        for policy, arrangement, path in product(asked.appendfsync, asked.arrangement, asked.path)
    ]


def _line(case: Case, runs: Sequence[Figures]) -> str:
    speed, server, python = (
        statistics.median(values)
        for values in zip(*((run.sagas_per_s, run.server_us, run.python_us) for run in runs), strict=True)
    )
    return (
        f"{case.appendfsync:<9} {case.arrangement:<8} {case.path:<12} {speed:>8,.0f} {server:>10,.0f} {python:>10,.0f}"
    )


def _row(on: dict[str, str], run: Figures) -> dict[str, str]:
    return {
        **on,
        "server": run.server,
        "appendfsync": run.case.appendfsync,
        "workers": run.case.arrangement,
        "path": run.case.path,
        "sagas": str(run.ended.sagas),
        "sagas_per_s": f"{run.sagas_per_s:.0f}",
        "server_us_per_saga": f"{run.server_us:.1f}",
        "python_us_per_saga": f"{run.python_us:.1f}",
    }


def _append(path: Path, row: dict[str, str]) -> None:
    is_new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    configure(Settings(log_level="ERROR"))
    sys.exit(main())
