"""How the stock service is wired."""

from __future__ import annotations

import pytest

from sagastream import Bus, Settings
from sagastream.project import ProjectError
from sagastream.service import Context
from sagastream.telemetry import Telemetry
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from stock_service.app import create_service


def test_a_currency_that_nobody_knows_stops_the_service() -> None:
    """It is told in one line, as the command line tells all errors of this kind."""
    connection = MemoryConnection(MemoryServer(lambda: 0))
    bus = Bus(connection, connection, connection)
    context = Context("stock-service", Settings(), bus, Telemetry("stock-service"), {"CURRENCY": "EURO"})

    with pytest.raises(ProjectError, match="currency 'EURO' is unknown; set CURRENCY"):
        create_service(context)
