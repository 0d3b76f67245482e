"""``python -m sagastream.testing module:scenario --seeds 0:20000 --jobs 2``: run many seeds, stop at the first failure.

Exits with 0 if all was true, 1 if a saga reported something untrue, 3 if some kind of fault never happened.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from sagastream.testing.simulation import Report, found, in_processes, played_by, shrunk
from sagastream.testing.stage import Stage, Untrue

LIE, INVALID = 1, 3
MOST_RAISED = 20


def main(arguments: Sequence[str] | None = None, *, target: str | None = None) -> int:
    """Run the seeds given on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sagastream.testing")
    if target is None:
        parser.add_argument("target", help="a Scenario, or a function that makes one for a seed, as module:name")
    parser.add_argument("--seeds", default="0:1000", help="one seed, or from:to (to not included)")
    parser.add_argument("--jobs", type=int, default=1, help="processes to play in")
    parser.add_argument("--sagas", help="only these sagas, by number: 0,2")
    parser.add_argument("--only", help="let only this go wrong: sites with commas between, as printed at a lie")
    told = parser.parse_args(arguments)
    target = target or told.target
    first, _, last = told.seeds.partition(":")
    seeds = range(int(first), int(last) if last else int(first) + 1)
    if told.only is not None or told.sagas is not None:
        return _again(target, seeds[0], told.only, told.sagas)
    report = _many(target, seeds, told.jobs)
    if report.lying:
        return _lied(target, min(report.lying), parser.prog)
    for what, count in sorted(report.seen.items()):
        print(f"  {count:9,}  {what}")
    for what, count in report.raised.most_common(MOST_RAISED):
        print(f"  {count:9,}  raised: {what}")
    if not report.is_valid:
        print(f"INVALID: in {report.seeds:,} seeds these never happened: {', '.join(report.missing)}")
        return INVALID
    return 0


def _many(target: str, seeds: range, jobs: int) -> Report:
    report, began, shown = Report(), time.monotonic(), 0.0
    parts = in_processes(target, seeds, jobs) if jobs > 1 else (played_by(target, [seed]) for seed in seeds)
    for part in parts:
        report.add(part)
        if time.monotonic() - shown > 10 or report.lying or report.seeds == len(seeds):
            shown = time.monotonic()
            print(f"{report.seeds:7,} of {len(seeds):,} seeds  {_pace(report, shown - began)}", flush=True)
        if report.lying:
            break
    return report


def _pace(report: Report, seconds: float) -> str:
    ends = ", ".join(f"{count:,} {status}" for status, count in sorted(report.ends.items()))
    each = report.cpu_s / max(1, report.seeds) * 1000
    return f"{seconds:6.1f} s  {report.seeds / max(seconds, 0.001):5.1f} seeds/s  {each:.1f} ms CPU each  ({ends})"


def _lied(target: str, seed: int, program: str) -> int:
    print(f"seed {seed} lies; leaving out what is not needed for that", flush=True)
    lie = shrunk(found(target), seed)
    print(lie)
    sagas = ",".join(str(number) for number in lie.began)
    print(f"again: python -m sagastream.testing {target} --seeds {seed} --sagas {sagas} --only '{','.join(lie.sites)}'")
    return LIE


def _again(target: str, seed: int, only: str | None, sagas: str | None) -> int:
    stage = Stage(
        found(target)(seed),
        seed=seed,
        only=None if only is None else frozenset(filter(None, only.split(","))),
        sagas=None if sagas is None else [int(number) for number in sagas.split(",")],
    )
    try:
        print(stage.play())
    except Untrue as lie:
        print(lie)
        return LIE
    return 0


if __name__ == "__main__":
    sys.exit(main())
