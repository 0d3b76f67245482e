"""Wires the stock service together. The one place that knows all its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from money import Currency, currency
from sagastream import Consumer, Entrance
from sagastream.admission import Admission
from sagastream.project import ProjectError
from sagastream.service import Context, Service
from stock_service.api import Shelf, stock_routes
from stock_service.catalogue import demo_levels, seed
from stock_service.handlers import stock


def create_service(context: Context) -> Service:
    """Return the stock service: its routes, its consumer, and its demo catalogue, written at the start.

    Raises: ``ProjectError`` for an unknown ``CURRENCY``.
    """
    shelf = Shelf(
        entrance=Entrance(stock, bus=context.bus, settings=context.settings),
        currency=_priced_in(context.environment.get("CURRENCY") or "EUR"),
        admission=Admission(context.settings),
    )
    consumer = Consumer(stock, bus=context.bus, settings=context.settings, telemetry=context.telemetry)
    return Service(
        "stock-service",
        routers=[stock_routes(shelf)],
        workers=[consumer],
        resources=[_catalogue(shelf)],
        port=8002,
    )


def _priced_in(code: str) -> Currency:
    try:
        return currency(code)
    except ValueError as error:
        raise ProjectError(str(error)) from error


@asynccontextmanager
async def _catalogue(shelf: Shelf) -> AsyncIterator[None]:
    await seed(demo_levels(shelf.currency), shelf.entrance)
    yield
