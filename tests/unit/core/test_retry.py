"""How long is waited between attempts, and what cannot be waited for at all."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest

from sagastream import DefinitionError, Retry

SECOND = timedelta(seconds=1)


def test_the_wait_doubles_up_to_its_cap() -> None:
    retry = Retry(attempts=6, first=SECOND, cap=5 * SECOND, jitter=0.5)

    assert [retry.wait(attempt, 0.0) / SECOND for attempt in range(1, 6)] == [1, 2, 4, 5, 5]
    assert retry.wait(1, 0.5) == 0.75 * SECOND
    assert retry.longest() == 17 * SECOND


def test_a_first_wait_beyond_the_cap_is_the_cap() -> None:
    assert Retry(attempts=3, first=timedelta(days=1), cap=SECOND).longest() == 2 * SECOND


@pytest.mark.parametrize("attempts", [10**9, sys.maxsize])
def test_what_is_tried_for_ever_is_summed_up_at_once(attempts: int) -> None:
    """``check`` asks for it, and so does every runtime as it starts: they would not end for minutes, or ever."""
    retry = Retry(attempts=attempts, first=timedelta(days=1), cap=timedelta(days=365))

    assert retry.longest() > timedelta(days=365 * 1000)
    assert retry.wait(attempts - 1, 0.0) == timedelta(days=365)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"attempts": 0}, "attempts must be a whole number, at least 1, got 0"),
        ({"attempts": 2.5}, "attempts must be a whole number, at least 1, got 2.5"),
        ({"first": 2}, r"first must be a time such as timedelta\(seconds=30\), got 2"),
        ({"cap": None}, r"cap must be a time such as timedelta\(seconds=30\), got None"),
        ({"cap": timedelta(seconds=-1)}, "first and cap must not be less than no time"),
        ({"jitter": 1.5}, "jitter must be between 0 and 1, got 1.5"),
        ({"jitter": None}, "jitter must be between 0 and 1, got None"),
    ],
)
def test_a_retry_that_could_not_work_is_refused_when_it_is_made(wrong: dict[str, Any], told: str) -> None:
    """Else the first handler that fails would find out."""
    with pytest.raises(DefinitionError, match=f"Retry: {told}"):
        Retry(**wrong)
