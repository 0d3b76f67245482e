"""The engine beside a world that is known to be so: whatever happens in whatever order, what it says is true.

Participants perform, refuse, give up, call outside and answer requests again; events come late, twice, in any order,
or are lost; ledgers forget; two coordinators sweep by what each knew to be read. After every commit of anybody what
the record says is compared with the ledgers, and every request with what may be asked.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sagastream.ledger import State
from tests.unit.saga.examples import FACTOR, examples
from tests.unit.saga.played import BEGINNINGS, OUTCOMES, PAUSES_S, READINGS, TROUBLES, Played

indices = st.integers(0, 30)


class TrueWorld(RuleBasedStateMachine):
    """One saga of any table, and everything that may happen to it."""

    played: Played | None = None

    @initialize(which=st.integers(0, 200), upto=st.integers(0, 4), way=st.sampled_from(BEGINNINGS))
    def some_way_is_gone(self, which: int, upto: int, way: str) -> None:
        self.played = Played(which, upto, way)
        note(str(self.played.world.saga))

    @rule(which=indices, wanted=st.sampled_from(OUTCOMES))
    def a_participant_handles_an_event(self, which: int, wanted: State) -> None:
        self._playing.handle(which, wanted)

    @rule(back=st.integers(0, 3), fails=st.booleans())
    def a_participant_answers_a_request(self, back: int, fails: bool) -> None:
        self._playing.answer(back, fails=fails)

    @rule(what=st.sampled_from(READINGS), which=st.lists(indices, min_size=1, max_size=3))
    def a_coordinator_reads(self, what: str, which: list[int]) -> None:
        self._playing.read(what, which)

    @rule(seconds=st.sampled_from(PAUSES_S), who=st.integers(0, 3))
    def time_passes_and_a_coordinator_sweeps(self, seconds: int, who: int) -> None:
        self._playing.wait(seconds, who)

    @rule(what=st.sampled_from(TROUBLES), which=indices)
    def something_goes_wrong(self, what: str, which: int) -> None:
        self._playing.trouble(what, which)

    @invariant()
    def nothing_is_said_that_is_not_so(self) -> None:
        if self.played is not None:
            self.played.look()

    def teardown(self) -> None:
        """Play it to its end."""
        if self.played is not None:
            self.played.end()

    @property
    def _playing(self) -> Played:
        assert self.played is not None  # initialized before any rule
        return self.played


class TestTrueWorld(TrueWorld.TestCase):  # type: ignore[name-defined, misc]  # made by the machine's class
    settings = examples(80, steps=30)


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(400), id="some"),
        *(pytest.param(range(n, n + 1000), id=f"from-{n}", marks=pytest.mark.seeds) for n in range(400, 5400, 1000)),
    ],
)
def test_no_seed_leads_to_a_lie(seeds: range) -> None:
    """The same moves without a search: many more of them, each named by its seed."""
    for seed in range(seeds.start * FACTOR, seeds.stop * FACTOR):
        chance = random.Random(seed)
        played = Played(chance.randrange(10_000), chance.randrange(5), chance.choice(BEGINNINGS))
        try:
            for _ in range(chance.randint(5, 50)):
                played.move(chance)
                played.look()
            played.end()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
