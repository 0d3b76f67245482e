"""Wires the order service together. The one place that knows all its parts."""

from __future__ import annotations

from money import currency
from order_service.api import Desk, order_routes
from order_service.handlers import order
from sagastream import Consumer, Entrance
from sagastream.endings import Endings
from sagastream.service import Context, Service


def create_service(context: Context) -> Service:
    """Return the order service: its routes and its consumer.

    Reads ``CURRENCY`` (EUR) and ``ORDER_TOTAL_TOLERANCE`` (0.05) from the environment.
    Raises: ``ValueError`` naming the one that cannot be used.
    """
    money = currency(context.environment.get("CURRENCY") or "EUR")
    tolerance = context.environment.get("ORDER_TOTAL_TOLERANCE") or "0.05"
    endings = Endings(bus=context.bus, prefix=context.settings.key_prefix)
    desk = Desk(
        entrance=Entrance(order, bus=context.bus, settings=context.settings),
        endings=endings,
        currency=money,
        tolerance_cents=money.parse_at_most(tolerance),
    )
    consumer = Consumer(order, bus=context.bus, settings=context.settings, telemetry=context.telemetry)
    return Service("order-service", routers=[order_routes(desk)], workers=[consumer], resources=[endings], port=8001)
