"""Counters are named after steps, so a step's name must leave room for that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sagastream import DefinitionError
from tests.trip import TRIP


@pytest.mark.parametrize("name", ["hold|room", "hold\nroom", "hold\x00room"])
def test_a_step_whose_name_would_break_a_counters_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="printable and without"):
        replace(TRIP, steps=(replace(TRIP.steps[0], name=name), *TRIP.steps[1:]))
