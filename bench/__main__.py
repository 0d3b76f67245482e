"""All benchmarks, one after the other: ``python -m bench``, or ``make bench``. Takes some minutes.

Each part is a program of its own and says what it measures. ``--csv FOLDER`` writes a file of rows per part.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import front, growth, latency, quick
from sagastream.logs import configure
from sagastream.settings import Settings

_ENGINE = ("--sagas", "2000", "--repeat", "3", "--appendfsync", "no", "everysec", "always")
PARTS: dict[str, tuple[Callable[[Sequence[str]], int], tuple[str, ...]]] = {
    "engine": (quick.main, _ENGINE),
    "front": (front.main, ("--appendfsync", "no", "everysec", "always")),
    "latency": (latency.main, ()),
    "growth": (growth.main, ("--sizes", "1000", "10000", "100000")),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested parts; return 1 if one of them found a saga that did not end as it must."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)} (all)")
    parser.add_argument("--million", action="store_true", help="let the store grow to a million sagas: 15 minutes more")
    parser.add_argument("--csv", type=Path, help="append rows to a file per part in this folder")
    asked = parser.parse_args(arguments)
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    worst = 0
    for name in asked.parts or PARTS:
        part, options = PARTS[name]
        if name == "growth" and asked.million:
            options = (*options, "1000000")
        if asked.csv is not None:
            options = (*options, "--csv", str(asked.csv / f"{name}.csv"))
        print(f"== {name}\n", flush=True)
        worst = max(worst, part(options))
        print()
    return worst


if __name__ == "__main__":
    configure(Settings(log_level="ERROR"))
    sys.exit(main())
