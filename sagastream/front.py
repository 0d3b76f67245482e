"""The app at the base URL: the services' routes at its root, and each whole service under ``/services/``."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import httpx
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse, JSONResponse

from sagastream import exposition
from sagastream.hosting import Host
from sagastream.probes import PATHS
from sagastream.proxy import proxy_routes
from sagastream.series import SERVICE_UP
from sagastream.service import bare_app, include
from sagastream.telemetry import CONTENT_TYPE, Figure, Telemetry, expose
from sagastream.version import VERSION

_PROBE_TIMEOUT_S = 4.0  # longer than a service's probes wait for the server


def create_front(
    routers: Sequence[APIRouter],
    upstreams: Mapping[str, httpx.AsyncClient],
    *,
    hosts: Sequence[Host] = (),
    opens: Sequence[AbstractAsyncContextManager[object]] = (),
    telemetry: Telemetry | None = None,
    title: str = "sagastream",
) -> FastAPI:
    """Return the base app.

    ``upstreams`` are clients of the services, each in this process or another. The ``routers`` answer once all
    ``hosts`` are open. The app enters ``opens`` for its lifespan. ``telemetry`` holds this process's own figures.
    """
    started_at = datetime.now(UTC)
    telemetry = telemetry or Telemetry("front")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for client in upstreams.values():
                await stack.enter_async_context(client)
            for one in opens:
                await stack.enter_async_context(one)
            yield

    def is_open() -> bool:
        return all(host.is_open for host in hosts)

    app = bare_app(title, lifespan, is_open=is_open, always=(*PATHS, "/services/"), telemetry=telemetry)
    include(app, routers, telemetry)
    app.router.routes.extend(proxy_routes(upstreams))

    @app.get("/livez", include_in_schema=False)
    async def livez() -> Response:
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        answers = await _ask_all(upstreams, "/readyz")
        is_ready = is_open() and all(answer is not None and answer.is_success for answer in answers.values())
        told = {
            "status": "ready" if is_ready else "not ready",
            "services": {name: _told(answer) for name, answer in answers.items()},
        }
        return JSONResponse(told, 200 if is_ready else 503)

    @app.get("/health", include_in_schema=False)
    async def health() -> Response:
        services = {name: _told(answer) for name, answer in (await _ask_all(upstreams, "/health")).items()}
        is_well = is_open() and all(told.get("status") == "ok" for told in services.values())
        told = {
            "status": "ok" if is_well else "degraded",
            "version": VERSION,
            "startedAt": started_at.isoformat(timespec="milliseconds"),
            "uptimeSeconds": round((datetime.now(UTC) - started_at).total_seconds(), 1),
            "services": services,
        }
        return JSONResponse(told)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        answers = await _ask_all(upstreams, "/metrics")
        texts = {name: answer.text for name, answer in answers.items() if answer and answer.is_success}
        up = [Figure(SERVICE_UP, (name,), float(name in texts)) for name in answers]
        own = {"front": telemetry.render().decode() + expose(up).decode()}
        return Response(exposition.merge({**texts, **own}), media_type=CONTENT_TYPE)

    # If a service has a page of its own at the root, its route comes first.
    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return HTMLResponse(_index(title, list(upstreams), root="./"))

    @app.get("/services/", include_in_schema=False)
    async def index_below() -> Response:
        return HTMLResponse(_index(title, list(upstreams), root="../"))

    return app


async def _ask_all(upstreams: Mapping[str, httpx.AsyncClient], path: str) -> dict[str, httpx.Response | None]:
    answers = await asyncio.gather(*(_ask(client, path) for client in upstreams.values()))
    return dict(zip(upstreams, answers, strict=True))


async def _ask(client: httpx.AsyncClient, path: str) -> httpx.Response | None:
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):  # the client's own time-out ignores services in this process
            return await client.get(path, timeout=_PROBE_TIMEOUT_S)
    except (httpx.HTTPError, TimeoutError):
        return None


def _told(answer: httpx.Response | None) -> dict[str, object]:
    if answer is None:
        return {"status": "unreachable"}
    try:
        told = answer.json()
    except ValueError:
        return {"status": "unreadable"}
    return told if isinstance(told, dict) else {"status": "unreadable"}


def _index(title: str, services: Sequence[str], *, root: str) -> str:
    """Return a page of links relative to ``root``, the way to the base; only clients know the base URL itself."""

    def link(path: str) -> str:
        return f'<a href="{root}{html.escape(path.removeprefix("/"))}">{html.escape(path)}</a>'

    rows = "".join(
        f"<li>{html.escape(name)}: "
        + " · ".join(link(f"/services/{name}{path}") for path in ("/health", "/readyz", "/metrics", "/docs"))
        for name in services
    )
    own = " · ".join(link(path) for path in ("/docs", "/openapi.json", *PATHS))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<h1>{html.escape(title)}</h1><p>{own}</p><ul>{rows}</ul></html>"
    )
