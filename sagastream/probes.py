"""The routes by which people and machines probe a service. Reads; changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from sagastream.bus import Connection
from sagastream.durability import Durability, read_durability
from sagastream.errors import SagastreamError
from sagastream.hosting import Host
from sagastream.telemetry import CONTENT_TYPE, PATIENCE_S, Telemetry
from sagastream.version import VERSION

PATHS = ("/health", "/livez", "/readyz", "/metrics")


def probes(host: Host, server: Connection, telemetry: Telemetry) -> APIRouter:
    """Return ``/health`` for people and ``/livez``, ``/readyz``, ``/metrics`` for machines."""
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> Response:
        return JSONResponse({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> Response:
        durability, trouble = await _ask(server)
        is_ready = host.is_ready and trouble is None
        workers = {worker.name: worker.is_ready() and worker.name not in host.failures for worker in host.workers}
        troubles = {worker.name: worker.describe().get("trouble") for worker in host.workers if not worker.is_ready()}
        told = {
            "status": "ready" if is_ready else "not ready",
            "service": host.name,
            "checks": {"server": durability is not None, "opened": host.is_open, "workers": workers},
            "durability": asdict(durability) if durability else None,
            "reasons": [
                *([trouble] if trouble else []),
                *([f"store: {host.trouble}"] if host.trouble else []),
                *(f"{name}: {why}" for name, why in {**troubles, **host.failures}.items() if why),
            ],
        }
        return JSONResponse(told, 200 if is_ready else 503)

    @router.get("/health")
    async def health() -> Response:
        durability, trouble = await _ask(server)
        is_well = host.is_ready and trouble is None
        workers = {
            worker.name: {
                **worker.describe(),
                "ready": worker.is_ready(),
                "failure": host.failures.get(worker.name),
            }
            for worker in host.workers
        }
        told = {
            "status": "ok" if is_well else "degraded",
            "service": host.name,
            "version": VERSION,
            "startedAt": host.started_at.isoformat(timespec="milliseconds"),
            "uptimeSeconds": round((datetime.now(UTC) - host.started_at).total_seconds(), 1),
            "workers": workers,
            "store": {"trouble": host.trouble},
            "server": {"reachable": durability is not None, "trouble": trouble}
            | ({"name": durability.server, "version": durability.version} if durability else {}),
        }
        return JSONResponse(told)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(await telemetry.scrape(), media_type=CONTENT_TYPE)

    return router


async def _ask(server: Connection) -> tuple[Durability | None, str | None]:
    """Return the server's durability, if it answers, and the reason why the service cannot work with it, if any."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            durability = await read_durability(server)
    except SagastreamError as error:
        return None, f"server: {error}"
    except TimeoutError:
        return None, f"server: no answer within {PATIENCE_S:g} s"
    return durability, f"server: {durability.refusal}" if durability.refusal else None
