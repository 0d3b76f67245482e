"""A table that could not work is refused when it is made."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sagastream import DefinitionError
from tests.trip import TRIP


@pytest.mark.parametrize("name", ["hold|room", "hold\nroom", "hold\x00room"])
def test_a_step_whose_name_would_break_a_counters_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="printable and without"):
        replace(TRIP, steps=(replace(TRIP.steps[0], name=name), *TRIP.steps[1:]))


@pytest.mark.parametrize("none", [timedelta(0), timedelta(seconds=-1)])
def test_a_table_that_has_no_patience_or_no_time_is_refused(none: timedelta) -> None:
    """Whoever does not answer would be asked again at every look, forty times a second and for ever."""
    with pytest.raises(DefinitionError, match="patience and within must be some time"):
        replace(TRIP, patience=none)
    with pytest.raises(DefinitionError, match="patience and within must be some time"):
        replace(TRIP, within=none)
