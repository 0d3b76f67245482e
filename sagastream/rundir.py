"""Record which processes run here: a lock, one pid file per process. Ends a process only after checking its owner."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sagastream.errors import SagastreamError


class AlreadyRunning(SagastreamError):
    """Another process uses this directory; stop it, or give this one its own ``DATA_DIR``."""


class RunDir:
    """The directory of pid files, one ``<name>.pid`` per running process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock called ``name`` until the block, or this process, ends.

        **Raises**: ``AlreadyRunning`` with the holder's pid.
        """
        with (self.path / f"{name}.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                raise AlreadyRunning(
                    f"{self.path} is in use by process {lock.read().strip() or '?'}; "
                    "stop it or set DATA_DIR to another directory"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def write(self, name: str, text: str | int, kind: str = "pid") -> None:
        """Store a fact about a process atomically."""
        fresh = self.path / f".{name}.{kind}.new"
        fresh.write_text(f"{text}\n")
        fresh.replace(self.path / f"{name}.{kind}")

    def read(self, name: str, kind: str = "pid") -> str | None:
        """Return the stored fact about a process, or None."""
        try:
            return (self.path / f"{name}.{kind}").read_text().strip() or None
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Forget a process that has ended."""
        for kind in ("pid", "url"):
            (self.path / f"{name}.{kind}").unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names that have a pid file."""
        return sorted(file.stem for file in self.path.glob("*.pid"))

    def end_stale(
        self, name: str, mark: str, *, within_s: float = 10.0, send: Callable[[int, int], None] = os.kill
    ) -> bool:
        """End a process left over from a run that was killed, if its command line contains ``mark``.

        Call this only while holding the lock: then no live process claims the left-over one. Return whether there was
        one. It gets SIGTERM, and SIGKILL after ``within_s``.
        """
        told = self.read(name) or ""
        pid = int(told) if told.isascii() and told.isdigit() else 0  # after a power failure it may hold anything
        if not pid or mark not in command_line(pid):
            self.remove(name)
            return False
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if mark not in command_line(pid):
                break  # it has ended, and another process may have its pid by now
            with contextlib.suppress(ProcessLookupError):
                send(pid, sign)
            until = time.monotonic() + within_s
            while mark in command_line(pid) and time.monotonic() < until:
                time.sleep(0.01)
        self.remove(name)
        return True


def command_line(pid: int) -> str:
    """Return a process's command line with a space after each word, empty if there is no such process."""
    if os.path.isdir("/proc/self"):
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return ""
        return raw.replace(b"\0", b" ").decode(errors="replace")
    done = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return done.stdout.replace("\n", " ")
