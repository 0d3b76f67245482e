"""How sagas stand, told for people: derived from facts alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.order_saga import ORDER
from sagastream.saga import lifecycle
from sagastream.saga.definition import BEGINNING
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Ask, Fact, Happening, Kind, Progress, Request
from sagastream.saga.standing import StepStatus, UndoStatus, remaining, standings
from sagastream.saga.waiting import Wait, is_stuck, waiting_for

STOCK, PAYMENT, CONFIRM, NOTIFY = (step.name for step in ORDER.steps)


def progress(*facts: tuple[str, Kind, int], **asks: Ask) -> Progress:
    """Return a progress that knows these facts; asks are by the step's first word."""
    known = Progress("s", "order", 1)
    for step, kind, at_ms in facts:
        known = known.with_fact(Happening(step, kind, Fact(at_ms, f"{kind}-{at_ms}", "why" if at_ms % 2 else "")))
    names = {step.split()[0]: step for step in (BEGINNING, STOCK, PAYMENT, CONFIRM, NOTIFY)}
    return replace(known, asks={names[word]: ask for word, ask in asks.items()})


BEGUN = (BEGINNING, Kind.DONE, 1000)
HELD, PAID, CONFIRMED = (STOCK, Kind.DONE, 2000), (PAYMENT, Kind.DONE, 3000), (CONFIRM, Kind.DONE, 4000)
TOLD = (NOTIFY, Kind.DONE, 5000)
BARRED, TOO_LATE = (CONFIRM, Kind.BARRED, 40_000), (BEGINNING, Kind.CANCELLED, 9501)
SENT_OR_NOT = "NotificationSent or NotificationFailed"


def statuses(known: Progress) -> list[str]:
    return [one.status for one in standings(ORDER, known)]


def test_a_completed_saga_shows_five_steps_done_with_instants() -> None:
    """The beginning counts as a step, and each step begins when the one before it was done."""
    shown = list(standings(ORDER, progress(BEGUN, HELD, PAID, CONFIRMED, TOLD)))

    assert [(one.name, one.service) for one in shown] == [
        ("begin", "order"),
        ("reserve stock", "stock"),
        ("charge payment", "payment"),
        ("confirm order", "order"),
        ("notify customer", "notification"),
    ]
    assert {one.status for one in shown} == {StepStatus.DONE}
    assert [(one.started_ms, one.ended_ms) for one in shown] == [
        (1000, 1000), (1000, 2000), (2000, 3000), (3000, 4000), (4000, 5000),
    ]  # fmt: skip
    assert shown[1].event_ids == {Kind.DONE: "done-2000"}


def test_the_awaited_step_waits_and_the_others_are_pending() -> None:
    assert statuses(progress(BEGUN, HELD)) == ["Done", "Done", "Waiting", "Pending", "Pending"]
    assert remaining(ORDER, progress(BEGUN, HELD)) == [PAYMENT, CONFIRM, NOTIFY]


def test_a_saga_turned_back_shows_how_far_each_undo_came() -> None:
    known = progress(BEGUN, HELD, (PAYMENT, Kind.REFUSED, 3001), reserve=Ask(Request.UNDO, 1, 3100))

    shown = {one.name: one for one in standings(ORDER, known)}

    assert statuses(known) == ["Done", "Undoing", "Refused", "Pending", "Pending"]
    assert (shown[STOCK].undo, shown[BEGINNING].undo, shown[PAYMENT].undo) == (
        UndoStatus.ASKED,
        UndoStatus.PENDING,
        None,
    )
    assert shown[PAYMENT].error == "why"
    assert remaining(ORDER, known) == [STOCK, BEGINNING]


def test_a_step_refused_at_first_and_done_after_all_is_done() -> None:
    """After the pivot a refusal is tried again."""
    known = progress(BEGUN, HELD, PAID, CONFIRMED, (NOTIFY, Kind.REFUSED, 4501), TOLD)

    assert statuses(known)[-1] == StepStatus.DONE


TURNED_BACK = (BEGUN, HELD, (CONFIRM, Kind.OVERDUE, 33_000), BARRED)


@pytest.mark.parametrize(
    ("known", "step", "status", "undo", "error"),
    [
        (progress(*TURNED_BACK, PAID, (PAYMENT, Kind.UNDONE, 41_000)), PAYMENT, "Undone", "Undone", None),
        (progress(*TURNED_BACK, (PAYMENT, Kind.BARRED, 41_000)), PAYMENT, "Barred", "Barred", None),
        (progress(*TURNED_BACK, PAID, (PAYMENT, Kind.UNDO_GAVE_UP, 41_001)), PAYMENT, "GaveUp", "GaveUp", "why"),
        (progress(*TURNED_BACK, (PAYMENT, Kind.LOST, 41_001)), PAYMENT, "GaveUp", "LedgerLost", "why"),
        (progress(*TURNED_BACK, (PAYMENT, Kind.LOST, 41_001), (PAYMENT, Kind.STATED_UNDONE, 50_000)),
         PAYMENT, "Undone", "Undone", "why"),
        (progress(*TURNED_BACK, PAID, charge=Ask(Request.RETRY, 1, 41_000)), PAYMENT, "Done", "Pending", None),
        (progress(*TURNED_BACK), CONFIRM, "Barred", None, "overdue"),
        (progress(BEGUN, HELD, (PAYMENT, Kind.OVERDUE, 9001)), PAYMENT, "Overdue", None, "why"),
        (progress(BEGUN, HELD, (PAYMENT, Kind.GAVE_UP, 9001)), PAYMENT, "GaveUp", None, "why"),
        (progress(BEGUN, HELD, (PAYMENT, Kind.GAVE_UP, 9000)), PAYMENT, "GaveUp", None, "gave up"),
        (progress(BEGUN, (BEGINNING, Kind.POISONED, 9001)), BEGINNING, "Done", None, "why"),
        (progress(BEGUN, HELD, PAID, (CONFIRM, Kind.LOST, 9001), (CONFIRM, Kind.STATED_DONE, 9002)),
         CONFIRM, "Done", None, "why"),
        (progress(BEGUN, HELD, PAID, (CONFIRM, Kind.LOST, 9001), (CONFIRM, Kind.STATED_UNDONE, 9002)),
         CONFIRM, "Undone", None, "why"),
    ],
)  # fmt: skip
def test_each_step_is_shown_as_it_stands(
    known: Progress, step: str, status: str, undo: str | None, error: str | None
) -> None:
    """What is undone, barred or given up is never shown as done, and whatever went wrong says why."""
    (shown,) = (one for one in standings(ORDER, known) if one.name == step)

    assert (shown.status, shown.undo, shown.error) == (status, undo, error)


def test_what_is_undone_is_not_left_to_be_undone() -> None:
    assert remaining(ORDER, progress(*TURNED_BACK, PAID, (PAYMENT, Kind.UNDONE, 41_000))) == [STOCK, BEGINNING]


def test_a_step_begins_when_the_one_before_it_was_stated_done() -> None:
    known = progress(BEGUN, HELD, PAID, (CONFIRM, Kind.LOST, 9001), (CONFIRM, Kind.STATED_DONE, 9002))

    assert [one.started_ms for one in standings(ORDER, known)][-1] == 9002


@pytest.mark.parametrize(
    ("known", "status", "expected"),
    [
        pytest.param(
            progress(BEGUN),
            Status.STARTED,
            Wait("stock", STOCK, "StockReserved or StockReservationFailed", "begin is done", 1000, 31_000),
            id="the first step",
        ),
        pytest.param(
            progress(BEGUN, HELD),
            Status.IN_PROGRESS,
            Wait("payment", PAYMENT, "PaymentProcessed or PaymentFailed", "reserve stock is done", 2000, 62_000),
            id="the next step",
        ),
        pytest.param(
            progress(HELD),
            Status.IN_PROGRESS,
            Wait("order", BEGINNING, "OrderCreated", "later events were seen, the beginning was not", 2000, 62_000),
            id="a shell waits for its beginning",
        ),
        pytest.param(
            progress(HELD, (BEGINNING, Kind.OVERDUE, 62_000)),
            Status.NEEDS_ATTENTION,
            Wait("order", BEGINNING, "OrderCreated", "later events were seen, the beginning was not", 2000, None),
            id="a shell whose beginning never came",
        ),
        pytest.param(
            progress(BEGUN, (STOCK, Kind.OVERDUE, 31_001), confirm=Ask(Request.BAR, 1, 31_100)),
            Status.IN_PROGRESS,
            Wait("order", CONFIRM, "OrderConfirmed or StepBarred", "reserve stock: why", 31_001, 91_100),
            id="in doubt the pivot judges",
        ),
        pytest.param(
            progress(
                BEGUN, (STOCK, Kind.OVERDUE, 31_001), BARRED, (PAYMENT, Kind.BARRED, 41_000),
                reserve=Ask(Request.UNDO, 3, 161_000),
            ),
            Status.COMPENSATING,
            Wait(
                "stock", STOCK, "StockReleased or StepBarred, asked 3 times", "reserve stock: why", 41_000, 401_000
            ),
            id="an undo of a service that is away",
        ),
        pytest.param(
            progress(
                BEGUN, HELD, PAID, (CONFIRM, Kind.OVERDUE, 33_001), BARRED, (PAYMENT, Kind.UNDO_GAVE_UP, 41_001),
                charge=Ask(Request.UNDO, 1, 40_000), reserve=Ask(Request.UNDO, 1, 41_100),
            ),
            Status.NEEDS_ATTENTION,
            Wait("stock", STOCK, "StockReleased or StepBarred", "confirm order: why", 41_001, 101_100),
            id="an undo that gave up holds nobody up",
        ),
        pytest.param(
            progress(
                BEGUN, HELD, PAID, (CONFIRM, Kind.OVERDUE, 33_001), BARRED, (PAYMENT, Kind.UNDO_GAVE_UP, 41_001),
                (STOCK, Kind.UNDONE, 42_000), (BEGINNING, Kind.UNDONE, 43_000), charge=Ask(Request.UNDO, 2, 100_000),
            ),
            Status.NEEDS_ATTENTION,
            Wait(
                "payment", PAYMENT, "PaymentRefunded or StepBarred, asked 2 times", "undo gave up: why", 40_000, 220_000
            ),
            id="only the undo that gave up is left",
        ),
        pytest.param(
            progress(BEGUN, HELD, PAID, CONFIRMED, (NOTIFY, Kind.GAVE_UP, 9001), TOO_LATE),
            Status.NEEDS_ATTENTION,
            Wait("notification", NOTIFY, SENT_OR_NOT, "notify customer: why", 9001, 69_001),
            id="a step after the pivot gave up",
        ),
        pytest.param(
            progress(BEGUN, HELD, PAID, CONFIRMED, (NOTIFY, Kind.REFUSED, 9001), TOO_LATE),
            Status.NEEDS_ATTENTION,
            Wait("notification", NOTIFY, SENT_OR_NOT, "notify customer: why", 9001, 69_001),
            id="a step after the pivot was refused",
        ),
        pytest.param(
            progress(BEGUN, HELD, PAID, CONFIRMED, (NOTIFY, Kind.OVERDUE, 9001), TOO_LATE),
            Status.NEEDS_ATTENTION,
            Wait("notification", NOTIFY, SENT_OR_NOT, "notify customer: why", 9001, 69_001),
            id="a step after the pivot is overdue",
        ),
        pytest.param(
            progress(BEGUN, HELD, (BEGINNING, Kind.CANCELLED, 2501), PAID, confirm=Ask(Request.BAR, 1, 2600)),
            Status.IN_PROGRESS,
            Wait("order", CONFIRM, "OrderConfirmed or StepBarred", "begin: why", 2501, 62_600),
            id="cancelled the pivot judges",
        ),
        pytest.param(
            progress(BEGUN, HELD, (PAYMENT, Kind.GAVE_UP, 2501), PAID, confirm=Ask(Request.BAR, 1, 2600)),
            Status.IN_PROGRESS,
            Wait("order", CONFIRM, "OrderConfirmed or StepBarred", "charge payment: why", 2501, 62_600),
            id="given up the pivot judges",
        ),
        pytest.param(
            progress(BEGUN, HELD, (PAYMENT, Kind.REFUSED, 2501), reserve=Ask(Request.UNDO, 1, 2600)),
            Status.COMPENSATING,
            Wait("stock", STOCK, "StockReleased or StepBarred", "charge payment: why", 2501, 62_600),
            id="refused",
        ),
        pytest.param(
            progress(
                BEGUN, HELD, (PAYMENT, Kind.REFUSED, 2501), (STOCK, Kind.LOST, 2701), (BEGINNING, Kind.UNDONE, 2800),
                reserve=Ask(Request.UNDO, 1, 2600),
            ),
            Status.NEEDS_ATTENTION,
            Wait("stock", STOCK, "StockReleased or StepBarred", "ledger lost: why", 2501, 62_600),
            id="an undo of which the ledger was lost",
        ),
        pytest.param(
            progress(BEGUN, HELD, (PAYMENT, Kind.REFUSED, 2501), PAID),
            Status.NEEDS_ATTENTION,
            Wait(
                "a person", "", "the ledgers to be set right", "'charge payment' is both refused and done", 3000, None
            ),
            id="a contradiction",
        ),
    ],
)  # fmt: skip
def test_every_unfinished_saga_says_whom_it_waits_for(known: Progress, status: Status, expected: Wait) -> None:
    """Who, why, since when, until when."""
    assert lifecycle.status(ORDER, known) is status
    assert waiting_for(ORDER, known) == expected


@pytest.mark.parametrize(
    "known",
    [
        progress(BEGUN, HELD, PAID, CONFIRMED, TOLD),
        progress(BEGUN, (STOCK, Kind.REFUSED, 1501), (BEGINNING, Kind.UNDONE, 1600)),
        progress(BEGUN, (BEGINNING, Kind.ABORTED, 1501)),
    ],
    ids=["completed", "failed", "aborted"],
)
def test_a_saga_that_ended_waits_for_nobody(known: Progress) -> None:
    assert waiting_for(ORDER, known) is None


@pytest.mark.parametrize(
    ("known", "now_ms", "expected"),
    [
        (progress(BEGUN, HELD), 2001, False),
        (progress(BEGUN, HELD), 10**7, True),
        (progress(BEGUN, (PAYMENT, Kind.OVERDUE, 2001), confirm=Ask(Request.BAR, 1, 2100)), 2200, False),
        (progress(BEGUN, (PAYMENT, Kind.OVERDUE, 2001), confirm=Ask(Request.BAR, 2, 2100)), 2200, True),
        (progress(BEGUN, (BEGINNING, Kind.POISONED, 1501)), 1502, True),
        (progress(BEGUN, HELD, PAID, CONFIRMED, TOLD), 10**7, False),
    ],
    ids=["waits", "its time is over", "asked once", "asked twice", "needs a person", "has ended"],
)
def test_what_does_not_move_as_it_should_is_stuck(known: Progress, now_ms: int, expected: bool) -> None:
    assert is_stuck(ORDER, known, now_ms) is expected


STEPS = (BEGINNING, STOCK, PAYMENT, CONFIRM, NOTIFY)
FACTS = st.lists(
    st.tuples(st.sampled_from(STEPS), st.sampled_from(list(Kind)), st.integers(1, 10**6)), min_size=1, max_size=12
)


@given(FACTS)
def test_no_set_of_facts_leaves_a_saga_waiting_for_nobody(facts: list[tuple[str, Kind, int]]) -> None:
    """Whatever is known, an unfinished saga says whom it waits for, and only an unfinished one."""
    known = progress(*facts)

    wait = waiting_for(ORDER, known)

    assert (wait is None) == lifecycle.status(ORDER, known).is_end
    assert wait is None or (wait.who and wait.what and wait.why)
    assert len(statuses(known)) == len(STEPS)
