"""Which instants may be asked for."""

from __future__ import annotations

import pytest

from sagastream.coordinator.instant import epoch_ms


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("0", 0),
        (1_769_860_800_000, 1_769_860_800_000),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01t00:00:01z", 1000),
        ("1970-01-01T00:00:00.0019Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T01:00:00 01:00", 0),
        ("1969-12-31T23:59:59-01:00", 3_599_000),
        ("1969-12-31T23:59:59Z", -1000),
    ],
    ids=str,
)
def test_an_instant_says_its_offset_or_is_milliseconds(told: object, expected: int) -> None:
    """A plus sign that was not escaped in a URL arrives as a space."""
    assert epoch_ms(told) == expected


@pytest.mark.parametrize(
    "told", ["", "now", "-1", "1.5", "٣", "9" * 16, "2026-01-31", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z"]
)
def test_what_may_be_another_instant_elsewhere_is_none(told: str) -> None:
    with pytest.raises(ValueError, match="an instant such as 2026-01-31T12:00:00Z, or milliseconds since 1970"):
        epoch_ms(told)
