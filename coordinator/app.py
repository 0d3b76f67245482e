"""Wires the coordinator together. The one place that knows all its parts."""

from __future__ import annotations

from books.audit import SHOP
from coordinator.order_saga import order_saga
from coordinator.settings import CoordinatorSettings
from coordinator.trial import TRIAL
from sagastream.audit.auditor import Auditor
from sagastream.coordinator.api import saga_routes
from sagastream.coordinator.campaign_api import campaign_routes
from sagastream.coordinator.campaigner import Campaigner
from sagastream.coordinator.console.api import console_routes
from sagastream.coordinator.definition_api import definition_routes
from sagastream.coordinator.figures import Figures
from sagastream.coordinator.letter_api import letter_routes
from sagastream.coordinator.message_api import message_routes
from sagastream.coordinator.repair_api import repair_routes, trail_routes
from sagastream.coordinator.stream_api import stream_routes
from sagastream.coordinator.tracker import Coordinator
from sagastream.live.api import live_routes
from sagastream.service import Context, Service
from sagastream.webhooks.participant import webhooks


def create_service(context: Context) -> Service:
    """Return the coordinator of the shop's sagas: its routes, its worker, and what it exports of the counts."""
    sagas = [order_saga(CoordinatorSettings().order_deadline_pace)]
    worker = Coordinator(sagas, bus=context.bus, settings=context.settings, telemetry=context.telemetry)
    figures = Figures(sagas, bus=context.bus, settings=context.settings)
    context.telemetry.add_source(figures.read)
    routers = [
        saga_routes(sagas, bus=context.bus, settings=context.settings),
        live_routes(sagas, bus=context.bus, settings=context.settings),
        repair_routes(sagas, bus=context.bus, settings=context.settings),
        campaign_routes(sagas, bus=context.bus, settings=context.settings),
        letter_routes(sagas, bus=context.bus, settings=context.settings),
        trail_routes(bus=context.bus, settings=context.settings),
        message_routes(sagas, bus=context.bus, settings=context.settings),
        stream_routes(sagas, bus=context.bus, settings=context.settings),
        definition_routes(sagas),
        console_routes(TRIAL),
    ]
    repairs = Campaigner(sagas, bus=context.bus, settings=context.settings)
    auditor = Auditor(sagas, bus=context.bus, settings=context.settings, projects=[SHOP])
    telling = webhooks(sagas, bus=context.bus, settings=context.settings, telemetry=context.telemetry)
    return Service("coordinator", routers=routers, workers=[worker, repairs, auditor, *telling], port=8005)
