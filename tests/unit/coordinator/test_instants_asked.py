"""How clients may write the instants they ask for."""

from __future__ import annotations

import pytest
from jsonschema_rs import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from sagastream.coordinator.api import Instant

INSTANT = TypeAdapter(Instant)
NOON_MS = 1_769_860_800_000


@pytest.mark.parametrize(
    "told",
    ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00z", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00.000000000Z",
     "2026-01-31T13:30:00+01:30", "2026-01-31T13:30:00 01:30", "1769860800000", 1769860800000],
)  # fmt: skip
def test_an_instant_is_one_of_rfc_3339_or_milliseconds(told: object) -> None:
    """Also with small letters, and with a plus sign that came as a space."""
    assert INSTANT.validate_python(told) == NOON_MS


@pytest.mark.parametrize("told", ["", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "-1", "1e9", "now"])
def test_what_is_no_instant_is_told_how_one_is_written(told: str) -> None:
    with pytest.raises(ValidationError, match="such as 2026-01-31T12:00:00Z"):
        INSTANT.validate_python(told)


@pytest.mark.parametrize("told", [0, 10**15 - 1, 10**15, -1])
def test_the_document_says_how_many_milliseconds_there_may_be(told: int) -> None:
    try:
        INSTANT.validate_python(told)
        is_taken = True
    except ValidationError:
        is_taken = False

    assert Draft202012Validator(INSTANT.json_schema()).is_valid(told) is is_taken
