"""Run a project as several processes: start them, restart those that die, leave none behind. Serves nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta

import httpx
import structlog

from sagastream.bus import connect
from sagastream.dev import announce, kept_alive
from sagastream.embedded import embedded_server
from sagastream.hosting import wait_for_server, without_secrets
from sagastream.offspring import dies_with_parent
from sagastream.ports import free_port, keep
from sagastream.project import Project
from sagastream.rundir import RunDir
from sagastream.serving import PortInUse, address, listen, stopped_by_signals
from sagastream.settings import Settings
from sagastream.together import set_within
from sagastream.tokens import token_of_its_own

_log = structlog.get_logger()
_PROGRAM = "sagastream.cli"
_PAUSES = tuple(timedelta(seconds=each) for each in (0.2, 0.5, 1, 2, 5))
_STEADY = timedelta(seconds=5)
_READY_WITHIN = timedelta(seconds=60)
_LOOK_AGAIN = timedelta(milliseconds=50)


@dataclass(frozen=True)
class Program:
    """One process to keep alive: its name and its arguments to ``python -m sagastream.cli``.

    Programs of a lower ``rank`` are stopped earlier.
    """

    name: str
    arguments: Sequence[str]
    rank: int


class Keeper:
    """Keeps one program running until it is stopped."""

    def __init__(self, program: Program, run: RunDir, environment: Mapping[str, str], settings: Settings) -> None:
        self.program = program
        self._run = run
        self._environment = environment
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False
        self._again = asyncio.Event()
        self._task = asyncio.create_task(self._keep(), name=program.name)

    async def stop(self) -> None:
        """Send the process SIGTERM, kill it after twice ``stop_within``, and do not restart it."""
        self._is_stopping = True
        self._again.set()
        self._signal(signal.SIGTERM)
        _, late = await asyncio.wait({self._task}, timeout=2 * self._settings.stop_within.total_seconds())
        if late:
            self.kill()
            await asyncio.wait({self._task})

    def kill(self) -> None:
        """End the process at once."""
        self._is_stopping = True
        self._signal(signal.SIGKILL)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        while not self._is_stopping:
            began = loop.time()
            try:
                code: int | None = await self._run_once()
            except OSError as error:  # no memory or disk space: there may be some later
                _log.error("process.not_started", process=self.program.name, error=str(error))
                code = None
            if self._is_stopping:
                break
            deaths = 0 if loop.time() - began > _STEADY.total_seconds() else deaths
            pause = _PAUSES[min(deaths, len(_PAUSES) - 1)]
            deaths += 1
            if not self._settings.restart:
                _log.error("process.ended", process=self.program.name, code=code)
                break
            _log.warning("process.ended", process=self.program.name, code=code, again_in_s=pause.total_seconds())
            await set_within(self._again, pause)

    async def _run_once(self) -> int:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", _PROGRAM, *self.program.arguments),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=dies_with_parent(),
        )
        try:
            self._run.write(self.program.name, self._process.pid)
        except OSError:
            self._signal(signal.SIGKILL)  # a process without a pid file must not run: nobody could find it
            await self._process.wait()
            raise
        if self._is_stopping:  # stopped between the fork and here: that signal found no process
            self._signal(signal.SIGTERM)
        code: int = await self._process.wait()
        self._run.remove(self.program.name)
        return code

    def _signal(self, sign: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(sign)


async def run_in_many(project: Project, settings: Settings, port: int) -> None:
    """Run the server, the companions, each service and the front as processes until a signal stops them.

    Each has a pid file ``<data_dir>/run/<name>.pid``.

    **Raises**: ``AlreadyRunning``, ``NoServer``, ``PortInUse``.
    """
    run = RunDir(settings.data_dir / "run")
    keepers: list[Keeper] = []
    async with AsyncExitStack() as stack:
        stack.enter_context(run.locked("shop"))
        mark = ("--of", str(run.path.resolve()))
        for name in run.names():
            if name not in ("redis", "shop"):
                run.end_stale(name, f"{' '.join(mark)} ")
        run.write("shop", os.getpid())
        stack.callback(run.remove, "shop")
        ports = _Ports(settings, port)
        run.write("shop", ports.base_url, "url")
        stack.enter_context(token_of_its_own(settings))
        own = None if settings.redis_url else embedded_server(settings)

        def at_once() -> None:
            for keeper in keepers:
                keeper.kill()
            if own:
                own.kill()

        stop = stack.enter_context(stopped_by_signals(at_once))
        if own:
            stack.enter_context(own)
            await stack.enter_async_context(kept_alive(own, stop, settings.restart))
        url = own.url if own else settings.redis_url or ""
        if not await _server_answers(url, settings, stop):
            return
        environment = {**os.environ, "REDIS_URL": url, "DATA_DIR": str(settings.data_dir.resolve())}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(project.root), os.environ.get("PYTHONPATH"))))
        programs = _programs(project, ports, environment, mark)
        stack.push_async_callback(_stop_all, keepers)
        keepers += [Keeper(program, run, environment, settings) for program in programs]
        if await _is_ready(ports.base_url, stop):
            announce(project, settings, ports.base_url, f"{settings.data_dir.resolve()} ({without_secrets(url)})")
        await stop.wait()
        _log.info("shop.stopping")


class _Ports:
    """The base port and those after it; a port in use is replaced by a free one."""

    def __init__(self, settings: Settings, port: int) -> None:
        with listen(settings, port) as wire:
            self.base_url = address(wire)
            self._next: int = wire.getsockname()[1]
            self.base = self._next
        self._settings = settings

    def take(self) -> int:
        self._next += 1
        try:
            with listen(self._settings, self._next):
                if keep(self._next):
                    return self._next
        except (PortInUse, OverflowError):
            pass
        return free_port()


def _programs(project: Project, ports: _Ports, environment: dict[str, str], mark: tuple[str, ...]) -> list[Program]:
    upstreams: dict[str, str] = {}
    programs = []
    for name, target in project.services.items():
        port = ports.take()
        upstreams[name] = f"http://127.0.0.1:{port}"
        programs.append(Program(name, ("service", target, "--name", name, "--port", str(port), *mark), rank=1))
    for companion in project.companions:
        port = ports.take()
        environment[companion.url_setting] = f"http://127.0.0.1:{port}"
        arguments = ("service", companion.service, "--name", companion.name, "--port", str(port), *mark)
        programs.insert(0, Program(companion.name, arguments, rank=2))
    passed_on = [word for name, url in upstreams.items() for word in ("--upstream", f"{name}={url}")]
    programs.append(Program("front", ("front", "--port", str(ports.base), *passed_on, *mark), rank=0))
    return programs


async def _server_answers(url: str, settings: Settings, stop: asyncio.Event) -> bool:
    bus = connect(url, name="supervisor", block=settings.block)
    try:
        return await wait_for_server(bus.query, url, stop)
    finally:
        await bus.close()


async def _is_ready(url: str, stop: asyncio.Event) -> bool:
    told = "nothing answers yet"
    until = asyncio.get_running_loop().time() + _READY_WITHIN.total_seconds()
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        while not stop.is_set():
            with suppress(httpx.HTTPError):
                answer = await client.get("/readyz", timeout=5)
                if answer.is_success:
                    return True
                told = answer.text
            if asyncio.get_running_loop().time() > until:
                _log.error("shop.not_ready", after_s=_READY_WITHIN.total_seconds(), told=told)
                return False
            await set_within(stop, _LOOK_AGAIN)
    return False


async def _stop_all(keepers: Sequence[Keeper]) -> None:
    # The front first, so that no new requests come in; then the services; last the companions that they call.
    for rank in sorted({keeper.program.rank for keeper in keepers}):
        await asyncio.gather(*(keeper.stop() for keeper in keepers if keeper.program.rank == rank))
