"""The engine's speed in under a minute: ``python -m bench.quick``, or ``make bench-quick``.

Every guarantee is on: ledger, history, indexes, figures, deadlines, metrics. The sagas are begun before the workers
start; the clock runs until the last record has a final status. In the same run their commands are replayed as fast
as the server accepts them (``bench.limit``): the last column is the engine's share of that throughput. Compare
figures of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.limit import LIMIT, recorded, replayed
from bench.machine import described
from bench.rows import append
from bench.runs import ARRANGEMENTS, PATHS, Case, Figures, measured
from sagastream.logs import configure
from sagastream.settings import Settings

HEAD = (
    f"{'fsync':<9} {'workers':<8} {'path':<12} {'sagas/s':>8} {'of limit':>9} {'server µs':>10} {'python µs':>10}"
    f" {'server busy':>12}"
)


@dataclass(frozen=True, slots=True)
class Median:
    """One case, run several times: the median of each figure, and of the ratios to the limit of the same round."""

    case: Case
    runs: tuple[Figures, ...]
    limits: tuple[Figures, ...]

    @property
    def sagas_per_s(self) -> float:
        """Return the throughput."""
        return statistics.median(run.sagas_per_s for run in self.runs)

    @property
    def server_us(self) -> float:
        """Return the server's CPU microseconds per saga."""
        return statistics.median(run.server_us for run in self.runs)

    @property
    def python_us(self) -> float:
        """Return the CPU microseconds per saga of everything but the server."""
        return statistics.median(run.python_us for run in self.runs)

    @property
    def server_busy(self) -> float:
        """Return the share of time in which the server was busy."""
        return statistics.median(run.server_cpu_s / run.ended.seconds for run in self.runs)

    @property
    def of_limit(self) -> float:
        """Return the share of the limit that was reached."""
        return statistics.median(
            run.sagas_per_s / limit.sagas_per_s for run, limit in zip(self.runs, self.limits, strict=True)
        )


def medians(asked: argparse.Namespace) -> Iterator[Median]:
    """Run the requested cases, limit and engine alternating, and yield a median per case."""
    for path in asked.path:
        case = Case("one", path, "no", asked.sagas)
        mix = asyncio.run(recorded(case))
        for policy in asked.appendfsync:
            limits: list[Figures] = []
            runs: dict[str, list[Figures]] = {name: [] for name in asked.arrangement}
            for _ in range(asked.repeat):
                limits.append(asyncio.run(replayed(mix, replace(case, arrangement=LIMIT, appendfsync=policy))))
                for name, so_far in runs.items():
                    so_far.append(asyncio.run(measured(replace(case, arrangement=name, appendfsync=policy))))
            for name, found in {LIMIT: limits, **runs}.items():
                yield Median(replace(case, arrangement=name, appendfsync=policy), tuple(found), tuple(limits))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested cases and print a table; return 1 if a saga did not end as it must."""
    asked = _parser().parse_args(arguments)
    on = described()
    print(f"{asked.sagas} sagas of the order's table per run · commit {on['commit']}")
    print(f"{on['cpu']}, {on['cores']} cores, load {on['load']} · Python {on['python']}"
          f" · redis-py {on['redis_py']}\n")  # fmt: skip
    print(HEAD)
    is_sound = True
    for median in medians(asked):
        for run in median.runs:
            if not median.case.is_true(run.ended):
                is_sound = False
                print(f"  NOT AS IT MUST: {run.ended.by_status} after {run.ended.seconds:.0f} s", file=sys.stderr)
        print(line(median), flush=True)
        if asked.csv is not None:
            append(asked.csv, [row(on, median)])
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
                        help="every saga completed, half of them undone, or all of them")  # fmt: skip
    parser.add_argument("--csv", type=Path, help="append a row per line to this file")
    return parser


def line(median: Median) -> str:
    """Return a line of the table."""
    case = median.case
    return (
        f"{case.appendfsync:<9} {case.arrangement:<8} {case.path:<12} {median.sagas_per_s:>8,.0f} "
        f"{median.of_limit:>9.2f} {median.server_us:>10,.0f} {median.python_us:>10,.0f} {median.server_busy:>12.0%}"
    )


def row(on: dict[str, str], median: Median) -> dict[str, str]:
    """Return a row of the file."""
    return {
        **on,
        "server": median.runs[0].server,
        "appendfsync": median.case.appendfsync,
        "workers": median.case.arrangement,
        "path": median.case.path,
        "sagas": str(median.case.sagas),
        "runs": str(len(median.runs)),
        "sagas_per_s": f"{median.sagas_per_s:.0f}",
        "of_limit": f"{median.of_limit:.3f}",
        "server_us_per_saga": f"{median.server_us:.1f}",
        "python_us_per_saga": f"{median.python_us:.1f}",
        "server_busy": f"{median.server_busy:.2f}",
    }


if __name__ == "__main__":
    configure(Settings(log_level="ERROR"))
    sys.exit(main())
