"""What a person may do about a saga, wherever it stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Ask, Kind, Progress, Request
from sagastream.saga.repair import Act, Action, Because, Verdict, repair
from tests.unit.saga.tables import ORDER, PIVOTLESS, at, known

UPTO_CHARGE = ("begin done", "reserve done", "charge done")
PAST_PIVOT = (*UPTO_CHARGE, "confirm done")
BACK = (*UPTO_CHARGE, "confirm barred")


def acted(act: Act, *facts: str, saga: Saga = ORDER, now: float = 100, **asks: Ask) -> Verdict:
    """Let ann act on a saga of which these facts are known."""
    progress = replace(known(*facts, saga=saga), asks=asks)
    return repair(saga, progress, Action(act, "ann", "so it shall be"), id="act-1", now_ms=at(now))


def asked(verdict: Verdict) -> list[tuple[str, Request, int]]:
    return [(ask.step, ask.request, ask.times) for ask in verdict.turn.asks] if verdict.turn else []


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize(
    "facts",
    [
        (*PAST_PIVOT, "notify done"),
        (*BACK, "charge undone", "reserve undone", "begin undone"),
        ("begin done", "reserve refused", "begin undone"),
        (*BACK, "begin aborted"),
    ],
    ids=["completed", "compensated", "failed", "aborted"],
)
def test_what_has_ended_stays_as_it_is(act: Act, facts: tuple[str, ...]) -> None:
    """No terminal status is ever left."""
    verdict = acted(act, *facts)

    assert (verdict.turn, verdict.refused) == (None, Because.ENDED)
    assert verdict.told


@pytest.mark.parametrize(
    "facts", [("begin done",), ("begin done", "reserve done"), UPTO_CHARGE, ("reserve done",)],
    ids=["begun", "reserved", "charged", "of which only later events were seen"],
)  # fmt: skip
def test_a_saga_on_its_way_is_turned_back_by_the_judge_alone(facts: tuple[str, ...]) -> None:
    """As after a cancellation: the pivot's participant is asked to bar it, and nobody else yet."""
    verdict = acted(Act.COMPENSATE, *facts)

    assert verdict.turn is not None
    assert asked(verdict) == [("confirm", Request.BAR, 1)]
    assert not verdict.turn.status.is_end
    fact = verdict.turn.progress.fact(BEGINNING, Kind.CANCELLED)
    assert fact is not None
    assert (fact.actor, fact.reason, fact.event_id, fact.at_ms) == ("ann", "so it shall be", "act-1", at(100))


@pytest.mark.parametrize("facts", [PAST_PIVOT, (*PAST_PIVOT, "notify gave up"), (*PAST_PIVOT, "notify refused")])
def test_after_the_pivot_nothing_is_turned_back(facts: tuple[str, ...]) -> None:
    verdict = acted(Act.COMPENSATE, *facts)

    assert (verdict.turn, verdict.refused) == (None, Because.PAST_PIVOT)
    assert "goes on forward" in verdict.told


@pytest.mark.parametrize("facts", [BACK, ("begin done", "charge refused"), (*UPTO_CHARGE, "begin cancelled")])
def test_a_saga_that_is_turned_back_already_is_left_alone(facts: tuple[str, ...]) -> None:
    """Wanting the same twice is no mistake."""
    verdict = acted(Act.COMPENSATE, *facts)

    assert (verdict.turn, verdict.refused) == (None, None)


def test_without_a_pivot_the_undoing_begins_at_once() -> None:
    verdict = acted(Act.COMPENSATE, "begin done", "reserve done", saga=PIVOTLESS)

    assert verdict.turn is not None
    assert verdict.turn.status is Status.COMPENSATING
    assert asked(verdict) == [("charge", Request.UNDO, 1)]


@pytest.mark.parametrize(
    ("facts", "asks", "expected"),
    [
        (
            (*BACK, "charge undo gave up"),
            {"charge": Ask(Request.UNDO, 3, at(99))},
            [("charge", Request.UNDO, 4), ("reserve", Request.UNDO, 1)],
        ),
        ((*UPTO_CHARGE, "confirm overdue"), {"confirm": Ask(Request.BAR, 1, at(99))}, [("confirm", Request.BAR, 2)]),
        ((*PAST_PIVOT, "notify gave up"), {}, [("notify", Request.RETRY, 1)]),
        ((*PAST_PIVOT, "notify overdue"), {"notify": Ask(Request.RETRY, 7, at(99))}, [("notify", Request.RETRY, 8)]),
        (("begin done",), {}, [("reserve", Request.RETRY, 1)]),
        (PAST_PIVOT, {}, [("notify", Request.RETRY, 1)]),
        (("reserve done", "begin overdue"), {}, [("begin", Request.RETRY, 1)]),
    ],
    ids=["undo gave up", "judge silent", "gave up", "tried often", "first step", "last step", "beginning unseen"],
)
def test_whatever_is_open_is_asked_again_at_once(
    facts: tuple[str, ...], asks: dict[str, Ask], expected: list[tuple[str, Request, int]]
) -> None:
    """However short ago it was asked; each request has a number of its own, so each has its own id."""
    verdict = acted(Act.RETRY, *facts, **asks)

    assert verdict.turn is not None
    assert asked(verdict) == expected
    assert verdict.turn.progress.asks[expected[0][0]] == Ask(expected[0][1], expected[0][2], at(100))
    assert verdict.turn.progress.facts == known(*facts).facts
    assert verdict.turn.timer_ms is not None


def test_asking_again_cannot_help_where_ledgers_contradict_the_record() -> None:
    verdict = acted(Act.RETRY, *PAST_PIVOT, "confirm barred")

    assert (verdict.turn, verdict.refused) == (None, Because.CONTRADICTION)
    assert "confirm" in verdict.told


@pytest.mark.parametrize("act", Act)
def test_nothing_known_at_all_can_be_acted_upon(act: Act) -> None:
    """A record without facts is never stored, yet nothing breaks on one."""
    progress = Progress("saga-1", "order", 1)

    assert repair(ORDER, progress, Action(act, "ann", "why not"), id="act-1", now_ms=at(0)).told
