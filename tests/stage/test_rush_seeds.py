"""In a rush, with everything else going wrong: many trips, small reads, and stores that are slow and overlap.

Other seeds hardly ever have parts under way while more is read (``sagastream/coordinator/storing.py``).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from sagastream.coordinator import storing
from sagastream.coordinator.bundle import Bundle
from sagastream.coordinator.storing import Storing
from sagastream.coordinator.tracker import Coordinator
from sagastream.settings import Settings
from sagastream.testing import Stage, people
from sagastream.testing.faults import Storm
from tests.stage.trip_cast import TRIPS, TRIPS_WITHOUT_A_PIVOT

TRIPS_AT_ONCE = 24
SEEDS = 40
SLOW_S = 0.05


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Have every saga stored by a call of its own, each as slow as dice say; count what such calls met."""
    counted: Counter[str] = Counter()
    settings, begin, give_up, store = people.settings, Storing.begin, Storing.give_up, Coordinator._store
    dice = random.Random(5)

    def hasty(storm: Storm) -> Settings:
        return settings(storm).model_copy(update={"batch": 8})

    async def begun(self: Storing, bundles: Sequence[Bundle]) -> None:
        counted["more was begun"] += bool(self and bundles)
        await begin(self, bundles)

    async def given_up(self: Storing) -> None:
        counted["trouble, or the end"] += bool(self)
        await give_up(self)

    async def slow(self: Coordinator, bundles: Sequence[Bundle]) -> None:
        await asyncio.sleep(dice.choice((0, SLOW_S, SLOW_S * dice.random(), 10 * SLOW_S)))
        await store(self, bundles)

    monkeypatch.setattr(storing, "TOGETHER", 1)
    monkeypatch.setattr(people, "settings", hasty)
    monkeypatch.setattr(Storing, "begin", begun)
    monkeypatch.setattr(Storing, "give_up", given_up)
    monkeypatch.setattr(Coordinator, "_store", slow)
    return counted


def test_nothing_is_untrue_where_much_is_stored_at_once(met: Counter[str]) -> None:
    """Every saga ends, whatever is killed, lost or late while parts are under way."""
    for seed in range(SEEDS):
        scenario = replace((TRIPS, TRIPS_WITHOUT_A_PIVOT)[seed % 2], most=TRIPS_AT_ONCE)
        Stage(scenario, seed=seed, sagas=range(TRIPS_AT_ONCE)).play()

    assert met["more was begun"] > 3 * SEEDS
    assert met["trouble, or the end"] > SEEDS / 4
