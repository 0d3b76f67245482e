"""A saga stuck at any point answers in one call: why, on whom, since when, until when, what next."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagastream.answers import instant
from sagastream.coordinator.listing import Stored
from sagastream.coordinator.records import Record
from sagastream.coordinator.views import StateView, state
from sagastream.saga.advance import advance
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.outlook import next_turn
from sagastream.saga.progress import Progress
from sagastream.saga.situations import Situation, situations
from sagastream.saga.waiting import waiting_for
from tests.unit.saga.examples import examples
from tests.unit.saga.random_sagas import a_saga
from tests.unit.saga.tables import ORDER, PIVOTLESS, at, every_fact, happening, known

TABLES = [ORDER, PIVOTLESS, *(a_saga(random.Random(seed))[0] for seed in range(6))]
STANDING = [
    pytest.param(saga, situation, id=f"{saga.name}-{at}-{situation.title}")
    for at, saga in enumerate(TABLES)
    for situation in situations(saga)
    if situation.status is not None
]


def shown(saga: Saga, situation: Situation) -> StateView:
    """Return what one call answers."""
    status = str(situation.status)
    ended_ms = situation.now_ms if Status(status).is_end else None
    return state(Stored(Record(situation.progress, status, 1), ended_ms), saga, [])


def next_of(*facts: str, saga: Saga = ORDER) -> str:
    """Return what comes next for a saga of which these facts are known."""
    told = [happening(fact, at(second)) for second, fact in enumerate(facts)]
    progress = advance(saga, Progress("saga-1", saga.name, saga.version), told, now_ms=at(len(facts))).progress
    wait = waiting_for(saga, progress)
    assert wait is not None
    return next_turn(saga, progress, wait)


@pytest.mark.parametrize(("saga", "situation"), STANDING)
def test_wherever_it_is_stuck_one_call_says_why_on_whom_since_until_and_what_next(
    saga: Saga, situation: Situation
) -> None:
    """None of the five is empty; where no instant is told, a person is; what needs attention says what is open."""
    view = shown(saga, situation)
    wait = view.waiting_for

    assert (wait is None) is view.status.is_end
    assert bool(view.open) is (view.status is Status.NEEDS_ATTENTION)
    if wait is not None:
        assert all((wait.why, wait.who, wait.what, wait.next))
        assert wait.since <= instant(situation.now_ms)
        assert wait.next != "it is looked at again"
        assert ("a person" in wait.next) is (wait.until is None)
        assert wait.until is None or wait.since < wait.until


def test_an_end_that_a_ledger_contradicts_is_no_end_any_more() -> None:
    """The record keeps when it ended; nobody is told that it has failed, or how long it took."""
    contradicted = next(s for s in situations(ORDER) if s.title.startswith("every step is done, and"))
    record = Record(contradicted.progress, str(contradicted.status), 2)

    view = state(Stored(record, contradicted.now_ms), ORDER, [])

    assert view.status is Status.NEEDS_ATTENTION
    assert (view.completed_at, view.failed_at, view.duration_ms) == (None, None, None)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (("begin done",), "reserve counts as overdue; order is asked to bar confirm"),
        (("begin done", "reserve done"), "charge counts as overdue; order is asked to bar confirm"),
        (("begin done", "reserve done", "charge done", "confirm done"), "notify counts as overdue"),
        (("reserve done",), "the beginning counts as lost"),
        (("reserve done", "begin overdue"), "nothing by itself: a person must act"),
        (("begin done", "reserve refused", "reserve done"), "nothing by itself: a person must resolve it"),
        (("begin done", "reserve done", "charge refused"), "stock is asked to undo reserve (time 2)"),
        (("begin done", "reserve overdue"), "order is asked to bar confirm (time 2)"),
        (("begin done", "reserve done", "charge done", "confirm done", "notify gave up"),
         "mail is asked for the outcome of notify"),
        (("begin done", "charge done", "confirm done", "notify done", "reserve overdue"),
         "stock is asked for the outcome of reserve"),
    ],
)  # fmt: skip
def test_what_comes_next_is_what_the_engine_would_do(facts: tuple[str, ...], expected: str) -> None:
    """It is the engine's own next turn, told in words."""
    assert next_of(*facts) == expected


def test_without_a_pivot_what_is_overdue_is_undone_next() -> None:
    assert next_of("begin done", saga=PIVOTLESS) == "reserve counts as overdue; payment is asked to undo charge"


@examples(100)
@given(st.sampled_from([ORDER, PIVOTLESS]).flatmap(
    lambda saga: st.tuples(st.just(saga), st.lists(st.sampled_from(every_fact(saga)), min_size=1, max_size=12))
))  # fmt: skip
def test_whatever_is_known_something_is_next(drawn: tuple[Saga, list[str]]) -> None:
    """For any facts at all, possible or not."""
    saga, facts = drawn
    progress: Progress = known(*facts, saga=saga)
    wait = waiting_for(saga, progress)

    assert wait is None or next_turn(saga, progress, wait)
