"""The coordinator of the stored sagas: only what reads need, and no audit, which would be measured too."""

from __future__ import annotations

from bench.stored import TABLES
from sagastream.coordinator.api import saga_routes
from sagastream.coordinator.figures import Figures
from sagastream.coordinator.tracker import Coordinator
from sagastream.service import Context, Service


def create_service(context: Context) -> Service:
    """Return the routes of sagas, the worker and the figures."""
    worker = Coordinator(TABLES, bus=context.bus, settings=context.settings, telemetry=context.telemetry)
    context.telemetry.add_source(Figures(TABLES, bus=context.bus, settings=context.settings).read)
    routes = saga_routes(TABLES, bus=context.bus, settings=context.settings)
    return Service("coordinator", routers=[routes], workers=[worker], port=8005)
