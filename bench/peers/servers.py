"""Servers that peers need, each in a directory of its own on the loopback address, ended with the block."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sagastream.offspring import dies_with_parent
from sagastream.ports import free_port

HERE = Path(__file__).parent
_PATIENCE_S = 30.0
_LOOPBACK = "127.0.0.1"


class NotHere(Exception):
    """A peer is not available on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Restate:
    """The ingress and the admin address of a Restate server."""

    ingress: str
    admin: str


@contextmanager
def restate() -> Iterator[Restate]:
    """Run the server that npm has installed beside this file.

    Raises: ``NotHere``.
    """
    program = next(HERE.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"), None)
    if program is None:
        raise NotHere("npm has installed no restate-server for this machine")
    ingress, admin, node = (f"{_LOOPBACK}:{free_port()}" for _ in range(3))
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        environment = {
            **os.environ, "RESTATE_INGRESS__BIND_ADDRESS": ingress, "RESTATE_ADMIN__BIND_ADDRESS": admin,
            "RESTATE_DISABLE_TELEMETRY": "true", "RESTATE_LOG_FILTER": "error",
        }  # fmt: skip
        command = [
            str(program), "--base-dir", directory, "--listen-mode", "tcp", "--bind-ip", _LOOPBACK,
            "--bind-port", node.rpartition(":")[2], "--no-logo",
        ]  # fmt: skip
        with _running(command, directory, environment) as process:
            _until(process, lambda: _answers(f"http://{admin}/health"), "restate-server")
            yield Restate(f"http://{ingress}", f"http://{admin}")


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL cluster with its defaults; yield the URL of its server, without a database.

    Raises: ``NotHere``.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    found = str(programs[-1] / "postgres") if programs else shutil.which("postgres")
    if not found:
        raise NotHere("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        if user:
            shutil.chown(directory, user)
        data = f"{directory}/data"
        initdb = [str(Path(found).with_name("initdb")), "-D", data, "-A", "trust", "-U", "postgres"]
        subprocess.run(initdb, check=True, user=user, cwd=directory, stdout=subprocess.DEVNULL)
        command = [found, "-D", data, "-p", str(port), "-k", directory, "-c", f"listen_addresses={_LOOPBACK}"]
        with _running(command, directory, dict(os.environ), user) as process:
            ready = [str(Path(found).with_name("pg_isready")), "-q", "-h", _LOOPBACK, "-p", str(port)]
            _until(process, lambda: subprocess.run(ready).returncode == 0, "postgres")
            yield f"postgresql+psycopg://postgres@{_LOOPBACK}:{port}"


@contextmanager
def _running(
    command: list[str], directory: str, environment: dict[str, str], user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with Path(os.devnull).open("wb") as log:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, user=user, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=dies_with_parent(),
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], name: str) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        if is_ready():
            return
        time.sleep(0.1)
    raise NotHere(f"{name} did not come up within {_PATIENCE_S:g} s")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
