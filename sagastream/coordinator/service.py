"""The complete coordinator of some saga tables, as a service. The one place that knows all its parts."""

from __future__ import annotations

from collections.abc import Sequence

from sagastream.audit import Audit
from sagastream.audit.auditor import Auditor
from sagastream.coordinator.api import saga_routes
from sagastream.coordinator.campaign_api import campaign_routes
from sagastream.coordinator.campaigner import Campaigner
from sagastream.coordinator.console.api import console_routes
from sagastream.coordinator.console.trial import Trial
from sagastream.coordinator.definition_api import definition_routes
from sagastream.coordinator.figures import Figures
from sagastream.coordinator.letter_api import letter_routes
from sagastream.coordinator.message_api import message_routes
from sagastream.coordinator.repair_api import repair_routes, trail_routes
from sagastream.coordinator.stream_api import stream_routes
from sagastream.coordinator.tracker import Coordinator
from sagastream.errors import DefinitionError
from sagastream.live.api import live_routes
from sagastream.saga.definition import Saga
from sagastream.service import Context, Service, Worker
from sagastream.webhooks.participant import webhooks

_ROUTES = (
    saga_routes,
    live_routes,
    repair_routes,
    campaign_routes,
    letter_routes,
    message_routes,
    stream_routes,
)


def coordinator_service(
    sagas: Sequence[Saga],
    context: Context,
    *,
    audits: Sequence[Audit] = (),
    trial: Trial | None = None,
    port: int = 8005,
) -> Service:
    """Return the coordinator of these tables: all its routes, the console, its workers and its metrics.

    ``audits`` are the project's own rules, tried now and then beside the library's; ``trial`` is what people may try on
    the console; ``port`` is where it listens by default when it runs alone.

    **Raises**: ``DefinitionError`` without a table, because it would then track nothing and report itself healthy.
    """
    if not sagas:
        raise DefinitionError(
            "a coordinator needs the tables of its sagas, such as coordinator_service([TRIP], context)"
        )
    bus, settings, telemetry = context.bus, context.settings, context.telemetry
    telemetry.add_source(Figures(sagas, bus=bus, settings=settings).read)
    routers = [routes(sagas, bus=bus, settings=settings) for routes in _ROUTES]
    routers += [trail_routes(bus=bus, settings=settings), definition_routes(sagas), console_routes(trial)]
    workers: list[Worker] = [
        Coordinator(sagas, bus=bus, settings=settings, telemetry=telemetry),
        Campaigner(sagas, bus=bus, settings=settings),
        Auditor(sagas, bus=bus, settings=settings, projects=audits),
        *webhooks(sagas, bus=bus, settings=settings, telemetry=telemetry),
    ]
    return Service("coordinator", routers=routers, workers=workers, port=port)
