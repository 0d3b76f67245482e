"""Wires the order service together. The one place that knows all its parts."""

from __future__ import annotations

from money import currency
from order_service.api import order_routes
from order_service.desk import Desk
from order_service.handlers import order
from order_service.promises import bounds
from order_service.settings import OrderSettings
from sagastream import Consumer, Entrance
from sagastream.coordinator.listing import Listing
from sagastream.coordinator.records import Records
from sagastream.endings import Endings
from sagastream.keys import COORDINATOR, Keys
from sagastream.overload import Overload
from sagastream.service import Context, Service


def create_service(context: Context) -> Service:
    """Return the order service: its routes and its consumer.

    Raises: ``ValueError`` naming a setting that cannot be used.
    """
    settings = OrderSettings.of(context.environment)
    prefix = context.settings.key_prefix
    money = currency(settings.currency)
    endings = Endings(bus=context.bus, prefix=prefix)
    desk = Desk(
        entrance=Entrance(order, bus=context.bus, settings=context.settings),
        endings=endings,
        overload=Overload(bounds(settings.order_deadline_pace), bus=context.bus, prefix=prefix),
        sagas=Listing(Records(context.bus, Keys(prefix, COORDINATOR))),
        currency=money,
        tolerance_cents=money.parse_at_most(settings.order_total_tolerance),
        store_id=settings.order_default_store,
        payment_method=settings.order_default_payment_method,
    )
    consumer = Consumer(order, bus=context.bus, settings=context.settings, telemetry=context.telemetry)
    return Service("order-service", routers=[order_routes(desk)], workers=[consumer], resources=[endings], port=8001)
