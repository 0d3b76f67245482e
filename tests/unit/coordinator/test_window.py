"""Which windows may be asked for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from jsonschema_rs import Draft202012Validator
from pydantic import TypeAdapter

from sagastream.coordinator.window import LONGEST, Window, window


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("PT1M", timedelta(minutes=1)),
        ("PT60S", timedelta(minutes=1)),
        ("60", timedelta(minutes=1)),
        (60, timedelta(minutes=1)),
        ("PT1H", timedelta(hours=1)),
        ("PT1H30M", timedelta(minutes=90)),
        ("P1D", timedelta(days=1)),
        ("P1DT12H", timedelta(days=1.5)),
        ("P1W", timedelta(weeks=1)),
        ("P30D", LONGEST),
        ("2592000", LONGEST),
    ],
)
def test_a_window_is_a_duration_or_seconds(told: object, expected: timedelta) -> None:
    assert window(told) == expected


@pytest.mark.parametrize(
    "told",
    ["", "P", "PT", "P1DT", "1H", "PT1H ", "pt1h", "P1M", "P1Y", "-PT1H", "PT1.5H", "1.5e3", "3600.0", "٣٦٠٠", "hour",
     "PT1M1H", "PT9999999999S", "None"],
)  # fmt: skip
def test_what_is_no_duration_is_told_how_one_is_written(told: str) -> None:
    with pytest.raises(ValueError, match="a duration such as PT1H or P7D"):
        window(told)


@pytest.mark.parametrize("told", ["0", "59", "PT59S", "PT0S", "2592001", "P31D", "P999999999D", "P999999999W"])
def test_a_window_outside_the_bounds_is_told_the_bounds(told: str) -> None:
    with pytest.raises(ValueError, match="from PT1M to P30D"):
        window(told)


@pytest.mark.parametrize(
    "told", ["PT1H", "P1W2DT3H4M5S", "P", "PT", "P1DT", "1H", "pt1h", "P1M", "P1Y", "PT1.5H", "PT1M1H", "PT9999999999S"]
)
def test_the_document_says_which_durations_there_are(told: str) -> None:
    """Those with years and months are not even of the form that is published."""
    published = Draft202012Validator(TypeAdapter(Window).json_schema())

    try:
        window(told)
        is_duration = True
    except ValueError as error:
        is_duration = "such as PT1H" not in str(error)

    assert published.is_valid(told) is is_duration
