"""Run a whole project in one process: one event loop, one port, and an embedded server if no server is named."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

import structlog

from sagastream.embedded import EmbeddedServer, embedded_server
from sagastream.errors import SagastreamError
from sagastream.front import create_front
from sagastream.hosting import wait_for_server, without_secrets
from sagastream.project import Project
from sagastream.proxy import local_service
from sagastream.rundir import RunDir
from sagastream.service import App, Service, alive, create_app, opened_context, routers_of
from sagastream.serving import address, listen, serve, stopped_by_signals
from sagastream.settings import Settings
from sagastream.standalone import NotStarted, build
from sagastream.tokens import token_file, token_of_its_own

_log = structlog.get_logger()
_LONGEST_PAUSE = timedelta(seconds=5)
_STEADY = timedelta(seconds=5)


async def run_in_one(project: Project, settings: Settings, port: int) -> None:
    """Serve every service of the project at one base URL until a signal stops it.

    **Raises**: ``AlreadyRunning``, ``NoServer``, ``PortInUse``, ``ProjectError``, ``NotStarted``.
    """
    run = RunDir(settings.data_dir / "run")
    async with AsyncExitStack() as stack:
        stack.enter_context(run.locked("shop"))
        with listen(settings, port):
            pass  # report a port in use first; but do not listen yet: callers would wait while there is no server
        stack.enter_context(token_of_its_own(settings))
        own = None if settings.redis_url else embedded_server(settings)
        stop = stack.enter_context(stopped_by_signals(own.kill if own else lambda: None))
        if own:
            stack.enter_context(own)
            await stack.enter_async_context(kept_alive(own, stop, settings.restart))
        url = own.url if own else settings.redis_url or ""
        services: list[Service] = []
        apps: dict[str, App] = {}
        for name, target in project.services.items():
            context = await stack.enter_async_context(opened_context(name, url, settings))
            if not services and not await wait_for_server(context.bus.query, url, stop):
                return
            services.append(build(name, target, context, project.root))
            apps[name] = create_app(services[-1], context)
        front = create_front(
            routers_of(services),
            {name: local_service(app) for name, app in apps.items()},
            hosts=[app.state.host for app in apps.values()],
            opens=[alive(app) for app in apps.values()],
            title=project.root.name,
        )
        wire = stack.enter_context(listen(settings, port))
        run.write("shop", os.getpid())
        run.write("shop", address(wire), "url")
        stack.callback(run.remove, "shop")
        where = f"{settings.data_dir.resolve()} ({without_secrets(url)})"
        if not await serve(front, wire, stop, lambda: announce(project, settings, address(wire), where)):
            raise NotStarted("the shop could not be started")
        _log.info("shop.stopping")


def announce(project: Project, settings: Settings, url: str, where: str) -> None:
    """Print the shop's address and what to try next; if standard output fails, the shop runs all the same."""
    token = "OPERATOR_TOKEN" if settings.operator_token is not None else token_file(settings).resolve()
    lines = [f"{project.root.name} is ready at {url}", f"data: {where}", f"operators: {token}", "Ctrl-C stops it"]
    hint = project.hint.replace("{url}", url)
    with suppress(OSError):  # a full disk, a reader that has gone
        print("\n".join([*lines, "", *([hint] if hint else [])]), file=sys.stdout, flush=True)


@asynccontextmanager
async def kept_alive(server: EmbeddedServer, stop: asyncio.Event, restart: bool) -> AsyncIterator[None]:
    """Start the embedded server again whenever it ends, on the same port and data, until ``stop`` is set."""
    task = asyncio.create_task(_keep_alive(server, stop, restart))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _keep_alive(server: EmbeddedServer, stop: asyncio.Event, restart: bool) -> None:
    loop = asyncio.get_running_loop()
    pause, launched_at = timedelta(0), -math.inf
    while True:
        # Wait in a thread, but launch from the loop's: the kernel kills the child when the thread that forked it ends.
        code = await asyncio.to_thread(server.wait)
        if stop.is_set():
            return
        _log.error("server.ended", code=code, restart=restart)
        if not restart:
            return
        if loop.time() - launched_at > _STEADY.total_seconds():
            pause = timedelta(0)
        await asyncio.sleep(pause.total_seconds())
        pause = min(pause * 2 or timedelta(seconds=0.5), _LONGEST_PAUSE)
        launched_at = loop.time()
        try:
            server.launch()
            await asyncio.to_thread(server.wait_ready)
        except (SagastreamError, OSError) as error:  # no memory or disk space: there may be some later
            _log.error("server.not_ready", error=str(error))
        else:
            _log.info("server.restarted", pid=server.pid)
