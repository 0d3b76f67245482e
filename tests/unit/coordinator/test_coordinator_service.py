"""What makes a coordinator of tables refuses what would be none."""

from datetime import timedelta

import pytest

from sagastream import Settings, connect
from sagastream.coordinator.service import coordinator_service
from sagastream.errors import DefinitionError
from sagastream.service import Context
from sagastream.telemetry import Telemetry


def test_a_coordinator_of_nothing_is_refused() -> None:
    """It would be ready, track no saga, and nobody would miss anything until somebody asks where his order is."""
    bus = connect("redis://127.0.0.1:1/0", name="nobody", block=timedelta(seconds=1))
    context = Context("coordinator", Settings(), bus, Telemetry("coordinator"))

    with pytest.raises(DefinitionError, match="needs the tables of its sagas"):
        coordinator_service([], context)
