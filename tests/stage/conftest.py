"""Whoever plants a bug into the engine must not be answered from what the sound engine judged before, nor leave it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coordinator.order_saga import ORDER
from tests.trip import TRIP


@pytest.fixture(autouse=True)
def _nothing_judged_yet() -> Iterator[None]:
    for saga in (ORDER, TRIP):
        saga.judged.clear()
    yield
    for saga in (ORDER, TRIP):
        saga.judged.clear()
