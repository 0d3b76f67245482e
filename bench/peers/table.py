"""The compared engines, the guarantees of each, and how each is run."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.peers.ours import PLAIN, SHOP, Play, timed
from bench.peers.servers import NotHere, postgresql, restate
from sagastream.embedded import EmbeddedServer, Fsync
from sagastream.offspring import dies_with_parent
from sagastream.ports import free_port

ROOT = Path(__file__).parents[2]
_WITHIN_S = 180.0
Python = Path  # the interpreter that has the peers' packages
_WORKER = (
    "-A", "bench.peers.order_celery", "worker", "--concurrency", "2", "--without-gossip", "--without-mingle",
    "--without-heartbeat", "--loglevel", "ERROR",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Peer:
    """One row: an engine, its number of sagas, and its guarantees. ``seconds`` runs it once."""

    name: str
    package: str
    sagas: int
    on_disk: str
    once: str
    knows: str
    seconds: Callable[[Python, int], float]


def _timed_program(python: Python, module: str, *arguments: str, **environment: str) -> float:
    """Run a peer's program and return the seconds it reports.

    Raises: ``NotHere`` with the end of its output if it fails.
    """
    try:
        done = subprocess.run(
            [str(python), "-m", f"bench.peers.{module}", *arguments], cwd=ROOT, capture_output=True, text=True,
            timeout=_WITHIN_S, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NotHere(f"did not end within {_WITHIN_S:g} s") from None
    except OSError as error:
        raise NotHere(f"{python}: {error.strerror}; make bench-peers installs it") from None
    if done.returncode:
        raise NotHere(f"failed: {done.stderr.strip()[-300:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def _ours(play: Play, appendfsync: str, arrangement: str, python: Python, sagas: int) -> float:
    return timed(play, sagas, appendfsync, arrangement)


def _restate(python: Python, sagas: int) -> float:
    with restate() as server:
        return _timed_program(
            python, "order_restate", str(sagas), server.ingress, server.admin, str(free_port()), "64"
        )  # fmt: skip


def _dbos_sqlite(python: Python, sagas: int) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        return _timed_program(python, "order_dbos", str(sagas), f"sqlite:///{directory}/dbos.sqlite", "4")


def _dbos_postgresql(python: Python, sagas: int) -> float:
    with postgresql() as url:
        return _timed_program(python, "order_dbos", str(sagas), f"{url}/dbos", "16")


def _eventsourcing(python: Python, sagas: int) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        return _timed_program(python, "order_eventsourcing", str(sagas), directory)


def _faststream(appendfsync: Fsync, python: Python, sagas: int) -> float:
    with _redis(appendfsync) as server:
        return _timed_program(python, "order_faststream", str(sagas), server.url)


def _celery(appendfsync: Fsync, python: Python, sagas: int) -> float:
    with _redis(appendfsync) as server:
        worker = subprocess.Popen(
            [str(python), "-m", "celery", *_WORKER], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT), "BROKER_URL": server.url},
            preexec_fn=dies_with_parent(),
        )  # fmt: skip
        try:
            return _timed_program(python, "order_celery", str(sagas), BROKER_URL=server.url)
        finally:
            worker.terminate()
            worker.wait(_WITHIN_S)


@contextmanager
def _redis(appendfsync: Fsync) -> Iterator[EmbeddedServer]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        EmbeddedServer(Path(directory), appendfsync=appendfsync) as server,
    ):
        yield server


PEERS = (
    Peer("sagastream, one process, always", "", 3000, "each commit", "yes", "status, history, undo",
         partial(_ours, PLAIN, "always", "one")),
    Peer("sagastream, one per service, always", "", 3000, "each commit", "yes", "status, history, undo",
         partial(_ours, PLAIN, "always", "procs")),
    Peer("sagastream, one process, everysec", "", 3000, "each second", "yes", "status, history, undo",
         partial(_ours, PLAIN, "everysec", "one")),
    Peer("sagastream, one per service, everysec", "", 3000, "each second", "yes", "status, history, undo",
         partial(_ours, PLAIN, "everysec", "procs")),
    Peer("the shop, one process, always", "", 3000, "each commit", "yes", "status, history, undo",
         partial(_ours, SHOP, "always", "one")),
    Peer("the shop, one per service, always", "", 3000, "each commit", "yes", "status, history, undo",
         partial(_ours, SHOP, "always", "procs")),
    Peer("the shop, one process, everysec", "", 3000, "each second", "yes", "status, history, undo",
         partial(_ours, SHOP, "everysec", "one")),
    Peer("the shop, one per service, everysec", "", 3000, "each second", "yes", "status, history, undo",
         partial(_ours, SHOP, "everysec", "procs")),
    Peer("Restate", "restate-sdk", 1000, "each commit", "steps are journaled", "status, journal, undo by hand",
         _restate),
    Peer("DBOS on SQLite", "dbos", 100, "each commit", "steps are journaled", "status, steps, undo by hand",
         _dbos_sqlite),
    Peer("DBOS on PostgreSQL", "dbos", 300, "each commit", "steps are journaled", "status, steps, undo by hand",
         _dbos_postgresql),
    Peer("eventsourcing on SQLite", "eventsourcing", 1000, "each commit", "yes", "events only, no saga",
         _eventsourcing),
    Peer("FastStream, everysec", "faststream", 2000, "each second", "no: at least once", "nothing",
         partial(_faststream, "everysec")),
    Peer("Celery, everysec", "celery", 1000, "each second", "no: at least once", "nothing",
         partial(_celery, "everysec")),
)  # fmt: skip
