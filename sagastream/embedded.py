"""Run a Redis-compatible server of our own beside the shop. Starts and ends it; sends it no command but PING."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal, Self

from sagastream.offspring import dies_with_parent
from sagastream.ports import free_port
from sagastream.rundir import AlreadyRunning, RunDir
from sagastream.server_program import NoServer, find_server
from sagastream.settings import Settings

Fsync = Literal["everysec", "always"]
_LOOPBACK = "127.0.0.1"
_LOG_LIMIT = 4 * 1024 * 1024
_LINES_TOLD = 8
_IN_ONE_PIECE = "4096"  # bytes; keeps records and ledgers in listpacks: less memory, reads in half the time


class EmbeddedServer:
    """One server on the loopback address with its append-only file under ``data_dir/redis``.

    The server runs in its own session, so that Ctrl-C stops the services before the store; on Linux it ends with the
    thread that started it. ``data_dir`` is locked, so two shops never share it. The port stays the same over restarts.

    **Source**: REDIS.md, "Servers". Not promised: the writes of the last second before a power failure, unless
    ``appendfsync`` is ``always``.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        program: Path | None = None,
        port: int | None = None,
        appendfsync: Fsync = "everysec",
    ) -> None:
        self._program = program
        self._fixed_port = port
        self._fsync = appendfsync
        self._dir = (data_dir / "redis").resolve()
        self._run = RunDir(data_dir / "run")
        self._held = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port or 0

    @property
    def url(self) -> str:
        """Return the URL that clients use."""
        return f"redis://{_LOOPBACK}:{self.port}/0"

    @property
    def pid(self) -> int:
        """Return the server's process id, 0 while it does not run."""
        return self._process.pid if self.is_running and self._process else 0

    @property
    def is_running(self) -> bool:
        """Tell whether the process is alive; it may still be loading."""
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_s: float = 10.0) -> None:
        """Lock the directory, launch the server and wait until it answers.

        **Raises**: ``AlreadyRunning`` if the directory is locked; ``NoServer`` if no server program is found, or if it
        does not come up (with the end of its log).
        """
        self._dir.mkdir(parents=True, exist_ok=True)
        self._dir.chmod(0o700)  # the server writes world-readable files, with customers' orders
        self._held.enter_context(self._run.locked("redis"))
        try:
            self._run.end_stale("redis", self._mark)
            for attempts_left in (2, 1, 0):
                if not self._fixed_port:
                    self.port = free_port()
                self.launch()
                try:
                    return self.wait_ready(timeout_s)
                except NoServer as failure:
                    # Between finding the free port and the server's bind another process may take it.
                    if self._fixed_port or not attempts_left or "in use" not in str(failure):
                        raise
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start the process and return at once; after it has died, start it again on the same port and data.

        **Raises**: ``OSError`` if this machine lacks memory or disk space for it; then the server does not run.
        """
        self._program = self._program or find_server(None)
        options = {
            "bind": _LOOPBACK, "port": str(self.port), "dir": str(self._dir), "save": "",
            "appendonly": "yes", "appendfsync": self._fsync, "maxmemory-policy": "noeviction",
            "hash-max-listpack-value": _IN_ONE_PIECE,
            "daemonize": "no", "set-proc-title": "no",
        }  # fmt: skip
        command = [str(self._program)]
        for name, value in options.items():
            command += [f"--{name}", value]
        with self._open_log() as log:
            self._log_from = log.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=dies_with_parent(),
            )
        try:
            self._run.write("redis", self._process.pid)
            self._run.write("redis", self.url, "url")
        except OSError:
            self.kill()  # a server without a pid file must not run: nobody could find it
            raise

    def wait_ready(self, timeout_s: float = 10.0) -> None:
        """Return once the server answers PING; a server that reports loading gets ten times as long.

        **Raises**: ``NoServer`` with the end of the server's log.
        """
        begun = time.monotonic()
        while self.is_running:
            answer = ping(self.port)
            if answer.startswith(b"+PONG"):
                return
            bound = timeout_s * 10 if answer.startswith(b"-LOADING") else timeout_s
            if time.monotonic() - begun > bound:
                raise NoServer(f"the server did not answer within {bound:g} s:\n{self.log_tail()}")
            time.sleep(0.003)
        raise NoServer(f"the server ended while starting:\n{self.log_tail()}")

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the server, by force after ``timeout_s``, and unlock the directory."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
            self._run.remove("redis")
        self._held.close()

    def kill(self) -> None:
        """End the server at once; its append-only file survives that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wait(self) -> int:
        """Block until the process ends and return its exit code."""
        return self._process.wait() if self._process else 0

    def log_tail(self) -> str:
        """Return the last lines that the server logged since its launch."""
        with (self._dir / "server.log").open("rb") as log:
            log.seek(self._log_from)
            said = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in said[-_LINES_TOLD:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _mark(self) -> str:
        return f"--dir {self._dir} "

    def _open_log(self) -> IO[bytes]:
        path = self._dir / "server.log"
        is_long = path.exists() and path.stat().st_size > _LOG_LIMIT
        log = path.open("wb" if is_long else "ab")
        log.seek(0, 2)
        return log


def embedded_server(settings: Settings) -> EmbeddedServer:
    """Return the server that these settings describe, not yet started.

    **Raises**: ``NoServer`` if there is no usable server program; its message names three remedies.
    """
    return EmbeddedServer(
        settings.data_dir,
        program=find_server(settings.redis_server),
        port=settings.redis_port or None,
        appendfsync=settings.appendfsync,
    )


@contextlib.contextmanager
def server_url(settings: Settings) -> Iterator[str]:
    """Yield the URL of the shop's data: ``REDIS_URL``, or the running shop's server, or one started for the block."""
    if settings.redis_url:
        yield settings.redis_url
        return
    with contextlib.ExitStack() as stack:
        yield _running_or_started(settings, stack)


def _running_or_started(settings: Settings, stack: contextlib.ExitStack) -> str:
    server = embedded_server(settings)
    try:
        stack.enter_context(server)
    except AlreadyRunning:
        url = RunDir(settings.data_dir / "run").read("redis", "url")
        if url is None:
            raise
        return url
    return server.url


def ping(port: int) -> bytes:
    """Return the beginning of a server's reply to PING, empty if it does not answer."""
    try:
        with socket.create_connection((_LOOPBACK, port), timeout=1.0) as wire:
            wire.sendall(b"PING\r\n")
            return wire.recv(64)
    except OSError:
        return b""
