"""Processes a test starts itself, and ends by their pid."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sagastream.offspring import dies_with_parent
from tests.needs import ROOT

PERIOD_S = 0.02
# The last one is by which .ci/run finds what was left behind.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SAGASTREAM_CI_RUN")


def bare_environment(**settings: str) -> dict[str, str]:
    """Return an environment in which nothing of the surroundings decides."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | settings


@contextmanager
def running(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    log: Path,
    *,
    cwd: Path = ROOT,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process around the block; what it says is appended to ``log``. It must end when it is asked to."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=dies_with_parent(),
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{command[0]} did not end:\n{tail(log)}") from None


def wait_until(ask: Callable[[], bool], what: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask again and again for a minute until it is so; the process must not end meanwhile."""
    bound = time.monotonic() + 60
    while not ask():
        assert process.poll() is None, f"{what}: it ended\n{tail(log)}"
        assert time.monotonic() < bound, f"{what}: not within a minute\n{tail(log)}"
        time.sleep(PERIOD_S)


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
