"""``python -m tests.chaos --sagas 10000 --seed 1``: a whole shop in a storm, and whether everything is true afterwards.

Ends with 0 if the auditor finds nothing and the run counts, 1 if anything is not so, 2 if it could not be played,
3 if some kind of fault or some sign never came, 130 on Ctrl-C. What it leaves behind is kept where something was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from sagastream.errors import SagastreamError
from tests.chaos.run import run
from tests.chaos.summary import Code, Summary
from tests.processes.child import left_behind

MOST_A_SECOND = 15.0  # what two cores carry beside eleven processes and the storm
LEAST_S = 50.0  # of orders: every kind of fault needs its time


def main() -> int:
    """Play one storm and return the exit code."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--sagas", type=int, default=250, help="how many orders are placed")
    parser.add_argument("--seed", type=int, default=1, help="what befalls whom, when, and who orders what")
    parser.add_argument("--rate", type=float, help="how many orders a second at most")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary there, too")
    asked = parser.parse_args()
    data_dir = Path(os.environ.get("DATA_DIR") or tempfile.mkdtemp(prefix="chaos-"))
    data_dir.mkdir(parents=True, exist_ok=True)
    code, summary = _played(data_dir, asked.sagas, asked.seed, asked.rate)
    if summary is not None:
        print("", *summary.lines(), sep="\n")
        if asked.json is not None:
            asked.json.write_text(json.dumps(summary.written(), indent=2) + "\n")
    for line in left_behind(data_dir):
        print(f"chaos: still running: {line}", file=sys.stderr)
        code = Code.UNTRUE
    if code in (Code.CLEAN, Code.INTERRUPTED) and "DATA_DIR" not in os.environ:
        shutil.rmtree(data_dir)
    else:
        print(f"everything is kept in {data_dir}", file=sys.stderr)
    return code


def _played(data_dir: Path, sagas: int, seed: int, rate: float | None) -> tuple[Code, Summary | None]:
    try:
        summary = asyncio.run(run(data_dir, sagas, seed, rate or min(MOST_A_SECOND, sagas / LEAST_S)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Code.INTERRUPTED, None
    except (AssertionError, SagastreamError, TimeoutError, ExceptionGroup) as trouble:
        for error in _leaves(trouble):
            print(f"chaos: {type(error).__name__}: {error}", file=sys.stderr)
        return Code.NOT_PLAYED, None
    return summary.code(), summary


def _leaves(trouble: BaseException) -> list[BaseException]:
    if isinstance(trouble, BaseExceptionGroup):
        return [leaf for each in trouble.exceptions for leaf in _leaves(each)]
    return [trouble]


if __name__ == "__main__":
    sys.exit(main())
