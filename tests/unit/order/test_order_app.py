"""How the order service is wired."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from coordinator.settings import CoordinatorSettings
from order_service.app import create_service
from order_service.settings import OrderSettings
from sagastream import Bus, Settings
from sagastream.service import Context
from sagastream.telemetry import Telemetry
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer


def _context(environment: dict[str, str]) -> Context:
    connection = MemoryConnection(MemoryServer(lambda: 0))
    bus = Bus(connection, connection, connection)
    return Context("order-service", Settings(), bus, Telemetry("order-service"), environment)


def test_the_service_has_routes_and_a_consumer() -> None:
    """Nothing is opened and nothing is sent while it is wired."""
    service = create_service(_context({}))

    assert (service.name, service.port) == ("order-service", 8001)
    assert [worker.name for worker in service.workers] == ["order"]


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"CURRENCY": "EURO"}, "currency 'EURO' is unknown"),
        ({"ORDER_TOTAL_TOLERANCE": "five"}, "'five' is not a plain decimal"),
        ({"ORDER_TOTAL_TOLERANCE": "-1"}, "'-1' is not a plain decimal"),
        ({"ORDER_DEFAULT_STORE": "store 1"}, "order_default_store"),
        ({"ORDER_DEFAULT_PAYMENT_METHOD": "Barter"}, "order_default_payment_method"),
        ({"ORDER_DEADLINE_PACE": "0"}, "order_deadline_pace"),
        ({"ORDER_DEADLINE_PACE": "inf"}, "order_deadline_pace"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_service(environment: dict[str, str], problem: str) -> None:
    """It is said at the start, with the value and the variable, in one line, not at the first order."""
    with pytest.raises(ValidationError, match=problem) as told:
        create_service(_context(environment))

    assert [error["loc"] for error in told.value.errors()] == [tuple(name.lower() for name in environment)]


def test_settings_are_the_variables_of_the_same_name() -> None:
    """An empty one counts as absent, and those of others are none of our business."""
    settings = OrderSettings.of(
        {"ORDER_DEFAULT_STORE": "store-2", "ORDER_DEADLINE_PACE": "0.5", "CURRENCY": "", "HOME": "/", "currency": "USD"}
    )

    assert settings == OrderSettings(order_default_store="store-2", order_deadline_pace=0.5)


def test_orders_and_sagas_are_told_the_same_pace() -> None:
    """Both read one variable, within the same bounds."""
    ours, theirs = (
        OrderSettings.model_fields["order_deadline_pace"],
        CoordinatorSettings.model_fields["order_deadline_pace"],
    )

    assert (ours.default, ours.metadata) == (theirs.default, theirs.metadata)
