"""One process that a test started itself: freezes, thaws, kills and ends it by its recorded pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sagastream.offspring import dies_with_parent
from sagastream.rundir import command_line
from tests.processes.until import until

ROOT = Path(__file__).parents[2]
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "SAGASTREAM_CI_RUN")


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return an environment in which nothing of the surroundings decides about the shop."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "DATA_DIR": str(data_dir), "LOG_FORMAT": "json", **settings}


def left_behind(data_dir: Path) -> list[str]:
    """Return the command lines of processes that still speak of a data directory; none where there is no /proc."""
    processes = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return [line for pid in processes if pid != os.getpid() and str(data_dir) in (line := command_line(pid))]


class Child:
    """A process ``python -m sagastream.cli …``; what it says is appended to ``log``."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sagastream.cli", *arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=dies_with_parent(),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def said(self, lines: int = 15) -> str:
        """Return the last lines of the log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def signal(self, sign: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        self._process.send_signal(sign)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    async def end(self, within_s: float = 30.0) -> int:
        """Ask the process to end, also a frozen one, and return its exit code. What else runs here goes on meanwhile.

        Raises: ``AssertionError`` if it had to be forced.
        """
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

        async def ask() -> bool:
            return not self.is_running

        try:
            await until(ask, f"the end of a process that last said:\n{self.said()}\n", within_s)
        finally:
            self.kill()
        return self._process.returncode
