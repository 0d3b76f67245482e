"""One service as an HTTP app with its workers. Knows nothing of the service's business or its routes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from fastapi import APIRouter, FastAPI

from sagastream import openapi_examples, problems, tracing
from sagastream.bus import connect
from sagastream.guards import AnswersHead, BodyGuard, Gate, LastResort
from sagastream.hosting import Host, Worker
from sagastream.keys import COORDINATOR, Keys
from sagastream.measured import Measured, expect_requests
from sagastream.probes import PATHS, probes
from sagastream.redirects import RelativeRedirects
from sagastream.routes_page import routes_page
from sagastream.settings import Settings
from sagastream.store import StoreMark
from sagastream.telemetry import Telemetry
from sagastream.version import VERSION

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

    from sagastream.bus import Bus

__all__ = [
    "App",
    "Context",
    "Service",
    "Worker",
    "alive",
    "bare_app",
    "create_app",
    "include",
    "mark_of",
    "opened_context",
    "routers_of",
]


@dataclass(frozen=True)
class Context:
    """What a service is built from: everything that it must be given and must not create itself."""

    name: str
    settings: Settings
    bus: Bus
    telemetry: Telemetry
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True)
class Service:
    """A service as data: its routes, the workers that run beside them, and the resources that both need.

    ``resources`` are entered once, in order, after the server has first answered. ``port`` is the default port when
    the service runs as a process of its own.
    """

    name: str
    routers: Sequence[APIRouter] = ()
    workers: Sequence[Worker] = ()
    resources: Sequence[AbstractAsyncContextManager[object]] = ()
    port: int = 8081


App: TypeAlias = FastAPI
# If anything in the process sets up OpenTelemetry, FastAPI would also record requests, and their errors in texts that
# may contain any data; see ``tracing``. FastAPI versions without that telemetry ignore this setting.
_UNTOLD: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


@asynccontextmanager
async def opened_context(
    name: str, url: str, settings: Settings, telemetry: Telemetry | None = None
) -> AsyncIterator[Context]:
    """Yield a context with its own connections to the server at ``url``; nothing is sent yet."""
    bus = connect(url, name=f"{settings.key_prefix}{name}/{settings.consumer}", block=settings.block)
    told = settings.model_copy(update={"redis_url": url})
    try:
        yield Context(name, told, bus, telemetry or Telemetry(name))
    finally:
        await bus.close()


def create_app(service: Service, context: Context) -> FastAPI:
    """Return the app of one service: its routes, its probes, and its workers, which run during the app's lifespan.

    ``app.state.host`` describes its condition. While the server cannot be reached, or its store is not the right one,
    the routes answer 503 and the workers wait.
    """
    host = Host(
        service.name,
        server=context.bus.query,
        url=context.settings.redis_url or "",
        store=mark_of(context),
        resources=service.resources,
        workers=service.workers,
        stop_within=context.settings.stop_within,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with host:
            yield

    app = bare_app(service.name, lifespan, is_open=lambda: host.is_open, always=PATHS, telemetry=context.telemetry)
    app.state.host = host
    include(app, service.routers, context.telemetry)
    app.include_router(probes(host, context.bus.query, context.telemetry))
    return app


def mark_of(context: Context) -> StoreMark:
    """Return the mark by which a process recognises the right store."""
    return StoreMark(context.bus, Keys(context.settings.key_prefix, COORDINATOR), name=context.settings.store)


@asynccontextmanager
async def alive(app: App) -> AsyncIterator[None]:
    """Run an app's lifespan around the block, as the HTTP server would."""
    async with app.router.lifespan_context(app):
        yield


def routers_of(services: Sequence[Service]) -> list[APIRouter]:
    """Return the routes of all services, in their order."""
    return [router for service in services for router in service.routers]


def bare_app(
    title: str,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    *,
    is_open: Callable[[], bool],
    always: tuple[str, ...],
    telemetry: Telemetry | None = None,
) -> FastAPI:
    """Return an app without routes that answers errors as problems, limits bodies, and answers 503 until it is open.

    Paths that begin with one of ``always`` are served before ``is_open``; ``telemetry`` counts every answer.
    """
    app = _App(
        title=title, version=VERSION, lifespan=lifespan, redoc_url=None, docs_url=None, telemetry=_UNTOLD
    )  # fmt: skip
    app.add_route("/docs", routes_page(title), include_in_schema=False)
    problems.install(app)
    # A request passes through the middleware added last first.
    app.add_middleware(AnswersHead)
    app.add_middleware(RelativeRedirects)
    app.add_middleware(BodyGuard)
    app.add_middleware(Gate, is_open=is_open, always=always)
    app.add_middleware(LastResort)
    if telemetry is not None:
        app.add_middleware(Measured, telemetry=telemetry)
        if tracing.active is not None:
            app.add_middleware(tracing.TracedRequests, service=telemetry.service, polled=always)
    return app


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        is_made = self.openapi_schema is not None
        document = super().openapi()
        if not is_made:
            openapi_examples.complete(document)
        return document


def include(app: FastAPI, routers: Sequence[APIRouter], telemetry: Telemetry) -> None:
    """Add routes to an app, and export their series in its telemetry from the start."""
    for router in routers:
        app.include_router(router)
        expect_requests(telemetry, router.routes)
