"""Facts in any order, any number of times, lead to the same; what has ended stays ended."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sagastream.saga import lifecycle
from sagastream.saga.advance import advance, tick
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import LONGEST_PACE
from sagastream.saga.progress import Kind, Progress
from tests.unit.saga.examples import examples
from tests.unit.saga.random_sagas import a_saga
from tests.unit.saga.tables import ORDER, PIVOTLESS, at, every_fact, happening, with_facts

WISHES = (Kind.CANCELLED, Kind.OVERDUE, Kind.GAVE_UP, Kind.POISONED)
sagas = st.sampled_from([ORDER, PIVOTLESS, *(a_saga(random.Random(seed))[0] for seed in range(20))])
seconds = st.integers(0, 50)
many = examples(200)


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[Saga, list[tuple[str, int]], list[tuple[str, int]]]:
    """Draw a saga, facts about it, and the same facts in another order with repetitions."""
    saga = draw(sagas)
    facts = draw(st.lists(st.tuples(st.sampled_from(every_fact(saga)), seconds), min_size=1, max_size=14))
    repeated = facts + draw(st.lists(st.sampled_from(facts), max_size=8))
    return saga, facts, draw(st.permutations(repeated))


@many
@given(shuffled())
def test_any_order_and_repetition_of_facts_is_the_same_knowledge(
    drawn: tuple[Saga, list[tuple[str, int]], list[tuple[str, int]]],
) -> None:
    """Adding a fact commutes, associates and repeats without effect, contradictions included."""
    saga, facts, others = drawn
    empty = Progress("saga-1", saga.name, saga.version)

    one = with_facts(empty, [happening(said, at(second)) for said, second in facts])
    two = with_facts(empty, [happening(said, at(second)) for said, second in others])

    assert one.facts == two.facts
    assert lifecycle.status(saga, one) is lifecycle.status(saga, two)
    assert list(lifecycle.wanted(saga, one)) == list(lifecycle.wanted(saga, two))
    assert lifecycle.reason(saga, one) == lifecycle.reason(saga, two)


@many
@given(shuffled(), st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_however_events_are_cut_into_batches_the_saga_stands_the_same(
    drawn: tuple[Saga, list[tuple[str, int]], list[tuple[str, int]]], sizes: list[int]
) -> None:
    """Event by event or folded, in any order: except for wishes, which come too late after the end."""
    saga, facts, others = drawn
    facts, others = ([f for f in some if happening(f[0]).kind not in WISHES] for some in (facts, others))
    empty = Progress("saga-1", saga.name, saga.version)
    one = advance(saga, empty, [happening(said, at(s)) for said, s in facts], now_ms=at(60)).progress
    two = empty
    while others:
        size = sizes[len(others) % len(sizes)]
        batch, others = others[:size], others[size:]
        two = advance(saga, two, [happening(said, at(s)) for said, s in batch], now_ms=at(60)).progress

    assert one.facts == two.facts
    assert lifecycle.status(saga, one) is lifecycle.status(saga, two)


@many
@given(sagas.flatmap(lambda s: st.tuples(st.just(s), st.lists(st.sampled_from(every_fact(s)), max_size=25))))
def test_an_end_is_left_only_for_a_contradiction(drawn: tuple[Saga, list[str]]) -> None:
    """Whatever comes after the end, the status stays or says that a ledger contradicts it; never a third thing."""
    saga, facts = drawn
    progress = Progress("saga-1", saga.name, saga.version)
    ended = None

    for second, said in enumerate(facts):
        turn = advance(saga, progress, [happening(said, at(second))], now_ms=at(second))
        progress = turn.progress
        if ended is not None and turn.status is not ended:
            assert turn.status is lifecycle.Status.NEEDS_ATTENTION
            assert next(lifecycle.contradictions(saga, progress), None)
            assert not turn.asks
            return
        ended = turn.status if turn.status.is_end else None


@many
@given(
    sagas.flatmap(lambda s: st.tuples(st.just(s), st.lists(st.sampled_from(every_fact(s)), min_size=1, max_size=12))),
    st.lists(st.integers(0, 10_000), min_size=1, max_size=12),
)
def test_what_has_not_ended_is_always_looked_at_again(drawn: tuple[Saga, list[str]], pauses: list[int]) -> None:
    """A timer is set unless the saga has ended; once it fired, the next one lies ahead, within an hour or its wait."""
    saga, facts = drawn
    happenings = [happening(said, at(second)) for second, said in enumerate(facts)]
    turn = advance(saga, Progress("saga-1", saga.name, saga.version), happenings, now_ms=at(len(facts)))
    now_ms = at(len(facts))

    for pause in pauses:
        assert (turn.timer_ms is None) is turn.status.is_end
        now_ms += pause * 1000
        if turn.timer_ms is None or turn.timer_ms > now_ms:
            continue
        turn = tick(saga, turn.progress, now_ms=now_ms)
        assert turn.timer_ms is None or turn.timer_ms > now_ms
        assert turn.timer_ms is None or turn.timer_ms - now_ms <= LONGEST_PACE.total_seconds() * 1000


def test_of_two_tellings_of_a_fact_the_earlier_one_stays() -> None:
    """Whichever comes first: a step that is told again was not done later."""
    early, late = happening("reserve done", at(1)), happening("reserve done", at(2))
    empty = Progress("saga-1", ORDER.name, ORDER.version)

    for order in ((early, late), (late, early)):
        assert with_facts(empty, order).fact("reserve", Kind.DONE) == early.fact
