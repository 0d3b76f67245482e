"""What a person may do about a saga, wherever it stands.

It is long because each act is tried wherever a saga may stand, on the same standings.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagastream.event import SagaAborted
from sagastream.saga import lifecycle
from sagastream.saga.advance import advance, tick
from sagastream.saga.attention import Effect, left_open, open_items
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Ask, Happening, Kind, Progress, Request
from sagastream.saga.repair import Act, Action, Because, Verdict, repair
from tests.unit.saga.tables import ORDER, PIVOTLESS, at, every_fact, happening, known

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


def test_of_two_requests_the_one_that_is_due_first_is_looked_at_first() -> None:
    """One that is asked for the fourth time waits long; the one that is asked for the first time must not wait so."""
    asks = {"charge": Ask(Request.UNDO, 3, at(99))}
    verdict = acted(Act.RETRY, *BACK, "charge undo gave up", now=100, **asks)

    assert verdict.turn is not None
    assert verdict.turn.timer_ms == at(100 + 60)


def test_asking_again_cannot_help_where_ledgers_contradict_the_record() -> None:
    verdict = acted(Act.RETRY, *PAST_PIVOT, "confirm barred")

    assert (verdict.turn, verdict.refused) == (None, Because.CONTRADICTION)
    assert "confirm" in verdict.told


@pytest.mark.parametrize("act", [Act.COMPENSATE, Act.ABORT])
def test_an_end_that_a_ledger_contradicts_since_is_resolved_and_not_ended_another_way(act: Act) -> None:
    """It was announced; a second, different end would make a liar of everybody who read the first."""
    ended = advance(ORDER, known(), [happening(said) for said in (*PAST_PIVOT, "notify done")], now_ms=at(10))
    assert ended.status is Status.COMPLETED
    contradicted = advance(ORDER, ended.progress, [happening("charge undone", at(20))], now_ms=at(20))
    assert contradicted.status is Status.NEEDS_ATTENTION

    verdict = repair(ORDER, contradicted.progress, Action(act, "ann", "enough"), id="act-1", now_ms=at(30))
    paid_again = Action(Act.RESOLVE, "ann", "paid again", "charge", Effect.DONE, "ticket 4711")
    resolved = repair(ORDER, contradicted.progress, paid_again, id="act-2", now_ms=at(30))

    assert (verdict.turn, verdict.refused) == (None, Because.ENDED)
    assert "resolve what is open" in verdict.told
    assert resolved.turn is not None
    assert (resolved.turn.status, resolved.turn.announcements, resolved.turn.late) == (Status.COMPLETED, (), 0)


def test_a_step_whose_event_was_lost_before_the_pivot_can_be_stated_done() -> None:
    """The pivot is done, so the step was; only nobody tells."""
    verdict = resolved("charge", Effect.DONE, "begin done", "reserve done", "confirm done", "charge overdue")

    assert verdict.turn is not None
    assert verdict.turn.status is Status.IN_PROGRESS


def test_a_step_that_was_stated_done_is_not_waited_for_and_the_next_one_has_its_time() -> None:
    """Nobody will ever tell it; were it waited for, what comes after it would never be overdue."""
    turn = resolved("confirm", Effect.DONE, *UPTO_CHARGE, "confirm overdue", "confirm ledger lost").turn
    assert turn is not None
    assert turn.timer_ms == at(100 + 300)

    overdue = tick(ORDER, turn.progress, now_ms=at(400))

    assert [(told.step, told.kind) for told in overdue.news] == [("notify", Kind.OVERDUE)]
    assert overdue.status is Status.NEEDS_ATTENTION


def test_turning_back_is_refused_where_ledgers_contradict_the_record() -> None:
    """Of a saga that had completed nothing would be undone: the wish would not even be remembered."""
    verdict = acted(Act.COMPENSATE, "begin done", "reserve done", "charge done", "charge undone", saga=PIVOTLESS)

    assert (verdict.turn, verdict.refused) == (None, Because.CONTRADICTION)
    assert "'charge' is undone although the saga went forward" in verdict.told


@pytest.mark.parametrize("act", Act)
def test_nothing_known_at_all_can_be_acted_upon(act: Act) -> None:
    """A record without facts is never stored, yet nothing breaks on one."""
    progress = Progress("saga-1", "order", 1)

    assert repair(ORDER, progress, Action(act, "ann", "why not"), id="act-1", now_ms=at(0)).told


def resolved(step: str, effect: Effect, *facts: str, **asks: Ask) -> Verdict:
    """Let ann state what is true of a step."""
    progress = replace(known(*facts), asks=asks)
    action = Action(Act.RESOLVE, "ann", "they lost it", step, effect, "ticket 4711")
    return repair(ORDER, progress, action, id="act-1", now_ms=at(100))


RESOLVABLE: list[tuple[str, tuple[str, ...], str, Effect, Status, list[tuple[str, Request]]]] = [
    ("the only undo that is left", (*BACK, "charge undo gave up", "reserve undone", "begin undone"),
     "charge", Effect.UNDONE, Status.COMPENSATED, []),
    ("one of two undos", (*BACK, "charge undo gave up", "reserve undo gave up"),
     "charge", Effect.UNDONE, Status.NEEDS_ATTENTION, [("reserve", Request.UNDO), ("begin", Request.UNDO)]),
    ("a lost ledger", (*BACK, "charge ledger lost"),
     "charge", Effect.UNDONE, Status.COMPENSATING, [("reserve", Request.UNDO)]),
    ("a lost ledger, the newer step is undone", (*BACK, "charge undone", "reserve ledger lost"),
     "reserve", Effect.UNDONE, Status.COMPENSATING, [("begin", Request.UNDO)]),
    ("all that is left, of which nothing was heard", ("begin done", "reserve overdue", "confirm barred",
     "charge ledger lost", "reserve barred", "begin undone"), "charge", Effect.UNDONE, Status.COMPENSATED, []),
    ("a step after the pivot", (*PAST_PIVOT, "notify gave up"), "notify", Effect.DONE, Status.COMPLETED, []),
    ("a judge without memory: it was done", (*UPTO_CHARGE, "confirm overdue", "confirm ledger lost"),
     "confirm", Effect.DONE, Status.IN_PROGRESS, []),
    ("a judge without memory: it never was", (*UPTO_CHARGE, "confirm overdue", "confirm ledger lost"),
     "confirm", Effect.UNDONE, Status.COMPENSATING, [("charge", Request.UNDO)]),
    ("done though barred: it was", (*PAST_PIVOT, "confirm barred"), "confirm", Effect.DONE, Status.IN_PROGRESS, []),
    ("done though barred: it was not", (*PAST_PIVOT, "confirm barred"),
     "confirm", Effect.UNDONE, Status.COMPENSATING, [("charge", Request.UNDO)]),
    ("charged though refused", ("begin done", "reserve done", "charge refused", "charge done"),
     "charge", Effect.UNDONE, Status.COMPENSATING, [("reserve", Request.UNDO)]),
    ("told though barred: undone", (*BACK, "notify done"),
     "notify", Effect.UNDONE, Status.COMPENSATING, [("charge", Request.UNDO)]),
    ("told though barred: it was confirmed", (*BACK, "notify done"), "confirm", Effect.DONE, Status.COMPLETED, []),
    ("refunded though confirmed: paid again", (*PAST_PIVOT, "notify done", "charge undone"),
     "charge", Effect.DONE, Status.COMPLETED, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "step", "effect", "status", "asks"), [row[1:] for row in RESOLVABLE], ids=[row[0] for row in RESOLVABLE]
)
def test_evidence_about_an_open_step_lets_the_saga_go_on(
    facts: tuple[str, ...], step: str, effect: Effect, status: Status, asks: list[tuple[str, Request]]
) -> None:
    """What a person found out counts from then on, and says who, when and on what evidence."""
    verdict = resolved(step, effect, *facts)

    assert verdict.turn is not None
    assert verdict.turn.status is status
    assert [(ask.step, ask.request) for ask in verdict.turn.asks] == asks
    fact = verdict.turn.progress.fact(step, effect.kind)
    assert fact is not None
    assert (fact.actor, fact.at_ms, fact.reason) == ("ann", at(100), "they lost it (evidence: ticket 4711)")


@pytest.mark.parametrize(
    ("facts", "step", "effect"),
    [
        (("begin done", "reserve done"), "charge", Effect.DONE),
        (("begin done", "reserve overdue"), "reserve", Effect.UNDONE),
        (BACK, "charge", Effect.UNDONE),
        ((*BACK, "charge undo gave up"), "charge", Effect.DONE),
        ((*BACK, "charge undo gave up"), "reserve", Effect.UNDONE),
        ((*PAST_PIVOT, "notify gave up"), "notify", Effect.UNDONE),
        ((*PAST_PIVOT, "notify gave up"), "charge", Effect.UNDONE),
        ((*PAST_PIVOT, "notify gave up"), "nonsense", Effect.DONE),
        (("begin done", "reserve done", "charge refused", "charge done"), "charge", Effect.DONE),
        (("reserve done", "begin overdue"), "begin", Effect.DONE),
        # a word that was given before is not taken back: of two that contradict each other neither would count
        ((*UPTO_CHARGE, "confirm ledger lost", "confirm stated done", "charge undone"), "confirm", Effect.UNDONE),
        ((*UPTO_CHARGE, "charge overdue", "confirm done", "charge undone", "charge stated undone"),
         "charge", Effect.DONE),
    ],
)  # fmt: skip
def test_nothing_may_be_stated_that_is_not_open(facts: tuple[str, ...], step: str, effect: Effect) -> None:
    """Not in a saga that moves by itself, of a step that is not stuck, or against the way it goes."""
    verdict = resolved(step, effect, *facts)

    assert (verdict.turn, verdict.refused) == (None, Because.NOT_OPEN)
    assert "what may be stated here" in verdict.told


def test_aborting_closes_a_saga_and_says_what_it_leaves() -> None:
    verdict = acted(Act.ABORT, *BACK, "charge undo gave up", "reserve undone")

    assert verdict.turn is not None
    assert (verdict.turn.status, verdict.turn.timer_ms, verdict.turn.asks) == (Status.ABORTED, None, ())
    (event,) = [event for _, event in verdict.turn.announcements if isinstance(event, SagaAborted)]
    assert (event.actor, event.reason) == ("ann", "so it shall be")
    assert event.open_effects == ("begin: done", "charge: done, undo gave up")


def test_an_undo_confirmed_after_aborting_is_known_and_changes_nothing_else() -> None:
    """The status stays; what is shown as left open shrinks."""
    aborted = acted(Act.ABORT, *BACK, "charge undo gave up").turn
    assert aborted is not None

    turn = advance(ORDER, aborted.progress, [happening("charge undone", at(200))], now_ms=at(200))

    assert (turn.status, turn.late, turn.asks, turn.announcements) == (Status.ABORTED, 1, (), ())
    assert left_open(ORDER, turn.progress) == ("begin: done", "reserve: done")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (("begin done",), ("begin: done", "reserve: not heard of", "charge: not heard of", "confirm: not heard of")),
        ((*PAST_PIVOT, "notify gave up"), ("notify: gave up",)),
        (("begin done", "reserve refused"), ("begin: done", "charge: not heard of", "confirm: not heard of")),
    ],
)
def test_what_may_have_happened_is_left_open_too(facts: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert left_open(ORDER, known(*facts)) == expected


def test_a_beginning_that_nobody_can_undo_is_not_left_open() -> None:
    assert left_open(replace(ORDER, cancelled_by=None), known(*BACK, "charge undone")) == ("reserve: done",)


def test_without_a_pivot_every_step_may_be_left_open() -> None:
    facts = known("begin done", "reserve done", "charge gave up", saga=PIVOTLESS)

    assert left_open(PIVOTLESS, facts) == ("begin: done", "reserve: done", "charge: gave up")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            (*BACK, "charge undo gave up", "reserve ledger lost"),
            [("reserve", "stock", "Released or StepBarred", True, ("undone",)),
             ("charge", "payment", "Refunded or StepBarred", True, ("undone",))],
        ),
        ((*PAST_PIVOT, "notify gave up"), [("notify", "mail", "Notified or NotNotified", True, ("done",))]),
        ((*UPTO_CHARGE, "confirm overdue", "confirm undo gave up"),
         [("confirm", "order", "Confirmed or StepBarred", True, ("done", "undone"))]),
        (("reserve done", "begin overdue"), [("begin", "order", "Ordered", False, ())]),
        (("begin done", "begin poisoned"), [("begin", "order", None, False, ())]),
        ((*PAST_PIVOT, "confirm barred"), [("confirm", "order", None, False, ("done", "undone"))]),
        ((*BACK, "notify done"), [("notify", "mail", None, False, ("undone",)),
                                  ("confirm", "order", None, False, ("done",))]),
        # what is settled, done or known by now is open no more
        ((*BACK, "charge undo gave up", "charge undone", "reserve ledger lost"),
         [("reserve", "stock", "Released or StepBarred", True, ("undone",))]),
        ((*UPTO_CHARGE, "confirm overdue", "confirm undo gave up", "confirm done", "notify gave up"),
         [("notify", "mail", "Notified or NotNotified", True, ("done",))]),
        ((*PAST_PIVOT, "begin overdue", "notify gave up"),
         [("notify", "mail", "Notified or NotNotified", True, ("done",))]),
        (("reserve done", "begin poisoned"), [("begin", "order", None, False, ())]),
        (("reserve done", "charge refused", "begin overdue", "reserve ledger lost"),
         [("reserve", "stock", "Released or StepBarred", True, ("undone",))]),
        # of a forgotten step may be stated what the way of the saga leaves open
        ((*PAST_PIVOT, "notify ledger lost"), [("notify", "mail", None, False, ("done",))]),
        ((*PAST_PIVOT, "charge ledger lost"), [("charge", "payment", None, False, ())]),
        ((*UPTO_CHARGE, "notify ledger lost"), [("notify", "mail", None, False, ())]),
    ],
)  # fmt: skip
def test_a_saga_that_needs_attention_says_what_is_open_and_what_would_close_it(
    facts: tuple[str, ...], expected: list[tuple[str, str, str | None, bool, tuple[str, ...]]]
) -> None:
    """Step, who could answer, with which event, whether they are asked again, what may be stated."""
    items = open_items(ORDER, known(*facts))

    assert [(i.step, i.service, i.answer, i.again_ms is not None, i.effects) for i in items] == expected
    assert all(item.problem and item.since_ms for item in items)


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ((*PAST_PIVOT, "notify gave up"), "gave up: because of gave up"),
        ((*BACK, "charge ledger lost"), "the ledger was lost: because of ledger lost"),
        ((*BACK, "charge undo gave up"), "undoing it keeps failing: because of undo gave up"),
        (("begin done", "begin poisoned"), "an event could not be understood: because of poisoned"),
    ],
)
def test_what_is_open_says_why_in_the_words_of_who_failed(facts: tuple[str, ...], problem: str) -> None:
    assert [item.problem for item in open_items(ORDER, known(*facts))] == [problem]


FACTS = st.sampled_from(every_fact(ORDER)).map(lambda said: happening(said, at(len(said))))


@settings(max_examples=400, deadline=None)
@given(st.lists(FACTS, min_size=1, max_size=12))
def test_whatever_is_known_attention_names_something_open_and_a_person_can_always_close_it(
    facts: list[Happening],
) -> None:
    """Stating what may be stated, one thing after the other, never fails, repeats, or leaves a terminal status."""
    progress = advance(ORDER, Progress("saga-1", "order", 1), facts, now_ms=at(60)).progress
    for _ in range(20):
        items = open_items(ORDER, progress)
        status = lifecycle.status(ORDER, progress)
        assert bool(items) == (status is Status.NEEDS_ATTENTION)
        item = next((item for item in items if item.effects), None)
        if item is None:
            break
        action = Action(Act.RESOLVE, "ann", "found out", item.step, item.effects[-1], "seen")
        verdict = repair(ORDER, progress, action, id="act", now_ms=at(70))
        assert verdict.turn is not None
        assert verdict.turn.progress != progress
        progress = verdict.turn.progress
    else:
        raise AssertionError("there is no end of what is open")
    if not lifecycle.status(ORDER, progress).is_end:
        aborted = repair(ORDER, progress, Action(Act.ABORT, "ann", "enough"), id="end", now_ms=at(80)).turn
        assert aborted is not None
        assert aborted.status is Status.ABORTED
