"""Every race decided: each way a saga may stand, each event, each pair of events in both orders, each repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from coordinator.order_saga import ORDER as ORDER_OF_THE_SHOP
from sagastream.saga import lifecycle
from sagastream.saga.advance import Advance, tick
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Happening, Kind, Progress, Request
from sagastream.saga.repair import Act, Action, Because
from sagastream.saga.situations import TIME, Occurrence, Situation, actions, occurrences, situations
from sagastream.saga.transitions import When, transitions, when
from tests.unit.saga.random_sagas import a_saga
from tests.unit.saga.tables import CONFIRM, NOTIFY, ORDER, PIVOTLESS, RESERVE

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "transitions.md"
SHORT = replace(ORDER, name="short", steps=(RESERVE, CONFIRM, NOTIFY))
TABLES = [ORDER, SHORT, PIVOTLESS, *(a_saga(random.Random(seed))[0] for seed in range(3))]
PAIRED = [
    pytest.param(ORDER, id="order", marks=pytest.mark.seeds),
    pytest.param(SHORT, id="short", marks=pytest.mark.seeds),
    pytest.param(PIVOTLESS, id="pivotless"),
]
every_table = pytest.mark.parametrize("saga", TABLES, ids=lambda saga: f"{saga.name}-{len(saga.steps)}")
# What asks for a way that can no longer be taken after the end, and so is not remembered then.
WISHES = frozenset({Kind.CANCELLED, Kind.GAVE_UP, Kind.POISONED})
BY_A_PERSON = frozenset({Kind.ABORTED, Kind.STATED_DONE, Kind.STATED_UNDONE})


def turns(saga: Saga, situation: Situation) -> Iterator[tuple[Occurrence, Advance]]:
    """Yield what follows from everything that may be told."""
    for occurrence in occurrences(saga):
        turn = situation.then(saga, occurrence)
        if turn is not None:
            yield occurrence, turn


def acts(saga: Saga, situation: Situation) -> Iterator[tuple[Action, Advance]]:
    """Yield what follows from everything that a person may do, once there is something to do it about."""
    for action in actions(saga):
        turn = situation.if_asked(saga, action).turn if situation.story else None
        if turn is not None:
            yield action, turn


def unsound(saga: Saga, before: Situation, occurrence: Occurrence | Action, turn: Advance) -> Iterator[str]:
    """Yield what must never follow from anything."""
    after = before.after(turn, occurrence)
    is_left = before.status is not None and before.status.is_end and turn.status is not before.status
    if is_left and not _is_contradicted(saga, turn):
        yield f"{before.status} is left for {turn.status}"
    if turn.status.is_end != (turn.timer_ms is None):
        yield f"{turn.status} with timer {turn.timer_ms}"
    if turn.timer_ms is not None and turn.timer_ms <= after.now_ms:
        looked = tick(saga, turn.progress, now_ms=after.now_ms)
        if occurrence == TIME or (looked.timer_ms is not None and looked.timer_ms <= after.now_ms):
            yield f"{turn.status} is looked at again and again without pause"
    if turn.asks and (turn.status.is_end or _is_contradicted(saga, turn)):
        yield f"{turn.status}, and still {turn.asks}"
    yield from _wrong_asks(saga, turn)


def _is_contradicted(saga: Saga, turn: Advance) -> bool:
    is_told = next(lifecycle.contradictions(saga, turn.progress), None) is not None
    return is_told and turn.status is Status.NEEDS_ATTENTION


def _wrong_asks(saga: Saga, turn: Advance) -> Iterator[str]:
    pivot = saga.pivot
    has_gone_forward = pivot is not None and lifecycle.is_done(turn.progress, pivot)
    for ask in turn.asks:
        match ask.request:
            case Request.UNDO:
                order = lifecycle.to_undo(saga, turn.progress)
                if has_gone_forward or ask.step not in order:
                    yield f"{ask.step} is to be undone after the pivot"
                for newer in order[: order.index(ask.step)] if ask.step in order else []:
                    has_failed = turn.progress.has(newer, Kind.UNDO_GAVE_UP, Kind.LOST)
                    if not has_failed and not lifecycle.is_settled(turn.progress, newer):
                        yield f"{ask.step} is to be undone before {newer}"
            case Request.BAR:
                if ask.step != pivot or has_gone_forward:
                    yield f"{ask.step} is asked to judge"
            case Request.RETRY:
                if lifecycle.is_turned_back(saga, turn.progress) or lifecycle.is_in_doubt(saga, turn.progress):
                    yield f"{ask.step} is to be tried again though the saga may not go on"


def test_the_page_is_what_the_engine_says() -> None:
    """After a change of the table or the engine: `make transitions`."""
    assert PAGE.read_text() == transitions(ORDER_OF_THE_SHOP)


def test_the_page_knows_every_status_every_fact_and_every_time_of_telling() -> None:
    known = list(situations(ORDER))

    assert {situation.status for situation in known} == {None, *Status}
    assert {occurrence.kind for occurrence in occurrences(ORDER)} | BY_A_PERSON == set(Kind)
    assert {when(ORDER, s, occurrence) for s in known for occurrence in occurrences(ORDER)} | {When.PERSON} == set(When)
    assert {action.act for action in actions(ORDER)} == set(Act)


@every_table
def test_whatever_is_told_nothing_unsound_follows(saga: Saga) -> None:
    """No end is left but for a contradiction, nobody hangs, requests go newest first and never behind the pivot."""
    wrong = [
        f"{situation.title}, then {occurrence}: {problem}"
        for situation in situations(saga)
        for occurrence, turn in (*turns(saga, situation), *acts(saga, situation))
        for problem in unsound(saga, situation, occurrence, turn)
    ]

    assert not wrong


@every_table
def test_what_has_ended_no_person_changes(saga: Saga) -> None:
    """Whatever is wanted of it is refused, and the reason is told."""
    for situation in situations(saga):
        if situation.status is not None and situation.status.is_end:
            for action in actions(saga):
                verdict = situation.if_asked(saga, action)

                assert (verdict.turn, verdict.refused) == (None, Because.ENDED)
                assert situation.status in verdict.told


@every_table
def test_what_a_person_is_told_was_done_was_done(saga: Saga) -> None:
    """An action that is not refused and has a turn to store has left its fact in it, or has asked somebody."""
    for situation in situations(saga):
        for action, turn in acts(saga, situation):
            assert turn.news or action.act is Act.RETRY, (situation.title, action)


@every_table
def test_what_a_person_did_races_soundly_with_every_event(saga: Saga) -> None:
    """His commit expects the record it was decided on, so an event comes before it or after it, never between."""
    for situation in situations(saga):
        for action, acted in acts(saga, situation):
            after = situation.after(acted, action)
            for occurrence, turn in turns(saga, after):
                assert not list(unsound(saga, after, occurrence, turn)), (situation.title, action, occurrence)


@every_table
def test_what_is_told_again_changes_nothing(saga: Saga) -> None:
    """However the saga stands and whatever it is: no news, no request, no announcement."""
    for situation in situations(saga):
        for occurrence, turn in turns(saga, situation):
            if occurrence == TIME:
                continue
            again = situation.after(turn, occurrence).then(saga, occurrence)

            assert again is not None
            assert (again.news, again.asks, again.announcements) == ((), (), ()), (situation.title, occurrence)
            assert (again.progress, again.status, again.timer_ms) == (turn.progress, turn.status, turn.timer_ms)


@pytest.mark.parametrize("saga", PAIRED)
def test_every_pair_of_events_leads_to_the_same_in_both_orders(saga: Saga) -> None:
    """One by one, the other way round, both again; only a wish or a refusal of what is done may come too late."""
    for situation in situations(saga):
        first = {told: turn for told, turn in turns(saga, situation) if turn.progress != situation.progress}
        for one, other in combinations(first, 2):
            ends = [_pair(saga, situation, first[a], a, b) for a, b in ((one, other), (other, one))]
            if TIME in (one, other):
                continue
            told = [one.happening(situation.now_ms), other.happening(situation.now_ms)]
            missed = [(end, h) for end in ends for h in told if not end.progress.has(h.step, h.kind)]
            if missed:
                assert all(_may_be_too_late(end.progress, h) for end, h in missed), (situation.title, one, other)
                assert first[one].status.is_end or first[other].status.is_end, (situation.title, one, other)
            else:
                assert ends[0].progress.facts == ends[1].progress.facts, (situation.title, one, other)
                assert ends[0].status is ends[1].status, (situation.title, one, other)


def _may_be_too_late(progress: Progress, happening: Happening) -> bool:
    is_idle = happening.kind is Kind.REFUSED and progress.has(happening.step, Kind.DONE, Kind.UNDONE)
    return happening.kind in WISHES or is_idle


def _pair(saga: Saga, situation: Situation, turn: Advance, first: Occurrence, second: Occurrence) -> Advance:
    """Return what follows from two events; it must be sound, and they are repeated in vain."""
    after = situation.after(turn, first)
    then = after.then(saga, second)
    if then is None:
        return turn
    assert not list(unsound(saga, after, second, then)), (situation.title, first, second)
    told = [first.happening(situation.now_ms), second.happening(after.now_ms)]
    assert not then.progress.with_facts(h for h in told if then.progress.has(h.step, h.kind))[1], (first, second)
    return then
