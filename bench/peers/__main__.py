"""Other engines beside ours, in one run on one machine: ``python -m bench.peers``, or ``make bench-peers``.

Each runs the same order: five trivial steps. The peers' steps do nothing at all, while ours hold stock, charge
and store orders. Every clock runs from the first saga sent to the last one ended. A throughput means little without
the guarantees behind it, so they are shown beside it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.machine import described
from bench.peers.servers import NotHere
from bench.peers.table import PEERS, ROOT, Peer
from bench.rows import append
from sagastream.logs import configure
from sagastream.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table; return 1 if a peer could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-peers/bin/python", help="has the peers' packages")
    parser.add_argument("--repeat", type=int, default=3, help="runs per line, of which the median is shown (3)")
    parser.add_argument("--share", type=float, default=1.0, help="part of the sagas per run (1)")
    parser.add_argument("--only", nargs="+", default=[], help="words of which a line must hold one")
    parser.add_argument("--csv", type=Path, help="append a row per line to this file")
    asked = parser.parse_args(arguments)
    on = described()
    print(f"commit {on['commit']} · {on['cpu']}, {on['cores']} cores, load {on['load']} · Python {on['python']}\n")
    print(f"{'':<38} {'sagas/s':>8}  {'on disk':<12} {'effects once':<20} {'knows of a saga'}")
    is_whole = True
    for peer in PEERS:
        if asked.only and not any(word.lower() in peer.name.lower() for word in asked.only):
            continue
        sagas = max(20, round(peer.sagas * asked.share))
        try:
            speeds = [sagas / peer.seconds(asked.python, sagas) for _ in range(asked.repeat)]
        except NotHere as why:
            is_whole = False
            print(f"{peer.name:<38} {'-':>8}  not measured: {why}", flush=True)
            continue
        speed = statistics.median(speeds)
        print(f"{peer.name:<38} {speed:>8,.0f}  {peer.on_disk:<12} {peer.once:<20} {peer.knows}", flush=True)
        if asked.csv is not None:
            append(asked.csv, [{**on, **_row(peer, asked.python, sagas, speeds)}])
    return int(not is_whole)


def _row(peer: Peer, python: Path, sagas: int, speeds: Sequence[float]) -> dict[str, str]:
    return {
        "peer": peer.name,
        "version": _version(python, peer.package) if peer.package else "",
        "sagas": str(sagas),
        "sagas_per_s": f"{statistics.median(speeds):.0f}",
        "lowest": f"{min(speeds):.0f}",
        "highest": f"{max(speeds):.0f}",
        "on_disk": peer.on_disk,
        "once": peer.once,
        "knows": peer.knows,
    }


def _version(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    configure(Settings(log_level="ERROR"))
    sys.exit(main())
