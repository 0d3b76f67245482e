"""Run one process of a project that runs as several: a single service, or the front before all of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from sagastream.errors import SagastreamError
from sagastream.front import create_front
from sagastream.hosting import Host
from sagastream.project import Project, ProjectError, load_factory
from sagastream.proxy import remote_service
from sagastream.rundir import RunDir
from sagastream.service import Context, Service, create_app, mark_of, opened_context, routers_of
from sagastream.serving import address, listen, serve, stopped_by_signals
from sagastream.settings import Settings
from sagastream.telemetry import Telemetry

_log = structlog.get_logger()


class NotStarted(SagastreamError):
    """The app could not be started; the log above says why."""


async def run_service(name: str, target: str, settings: Settings, root: Path, port: int | None) -> None:
    """Serve one service until a signal stops it; ``port`` overrides the service's own.

    **Raises**: ``NotStarted``, ``PortInUse``, ``ProjectError``.
    """
    url = _url(settings)
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(stopped_by_signals())
        context = await stack.enter_async_context(opened_context(name, url, settings))
        service = build(name, target, context, root)
        wire = stack.enter_context(listen(settings, service.port if port is None else port))

        def ready() -> None:
            _log.info("service.serving", url=address(wire))

        if not await serve(create_app(service, context), wire, stop, ready):
            raise NotStarted(f"{name} could not be started")
        _log.info("service.stopped")


async def run_front(project: Project, settings: Settings, upstreams: Mapping[str, str], port: int | None) -> None:
    """Serve the base URL before services that run in other processes; ``upstreams`` maps their names to URLs.

    This process serves the services' routes itself, over its own connections to the server, so that a stopped service
    does not affect the others; only ``/services/…`` is passed on.

    **Raises**: ``NotStarted``, ``PortInUse``, ``ProjectError``.
    """
    url = _url(settings)
    telemetry = Telemetry("front")
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(stopped_by_signals())
        context = await stack.enter_async_context(opened_context("front", url, settings, telemetry))
        services = [build(name, target, context, project.root) for name, target in project.services.items()]
        host = Host(
            "front",
            server=context.bus.query,
            url=url,
            store=mark_of(context),
            resources=[resource for service in services for resource in service.resources],
            stop_within=settings.stop_within,
        )
        app = create_front(
            routers_of(services),
            {name: remote_service(upstream) for name, upstream in upstreams.items()},
            hosts=[host],
            opens=[host],
            telemetry=telemetry,
            title=project.root.name,
        )
        wire = stack.enter_context(listen(settings, settings.port if port is None else port))
        if not await serve(app, wire, stop, lambda: _log.info("front.serving", url=address(wire))):
            raise NotStarted("the front could not be started")


def build(name: str, target: str, context: Context, root: Path) -> Service:
    """Return the service that a factory makes, which must have the declared name.

    **Raises**: ``ProjectError``.
    """
    service = load_factory(target, root)(context)
    if not isinstance(service, Service) or service.name != name:
        raise ProjectError(f"{target} must return a Service named {name!r}, and returned {service!r:.120}")
    return service


def _url(settings: Settings) -> str:
    url = settings.redis_url or RunDir(settings.data_dir / "run").read("redis", "url")
    if url is None:
        raise ProjectError("a process of its own needs REDIS_URL, or a running `sagastream dev` with the same DATA_DIR")
    return url
