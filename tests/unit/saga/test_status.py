"""DESIGN 6 as tables: which facts mean which status, and what is asked because of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sagastream.saga import lifecycle
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Request
from tests.unit.saga.tables import ORDER, PIVOTLESS, known

UPTO_CHARGE = ("begin done", "reserve done", "charge done")
UPTO_PIVOT = (*UPTO_CHARGE, "confirm done")

ROWS: list[tuple[str, tuple[str, ...], Status, list[tuple[str, str]]]] = [
    # what it is about, facts, status, what is asked
    ("only the beginning", ("begin done",), Status.STARTED, []),
    ("one step", ("begin done", "reserve done"), Status.IN_PROGRESS, []),
    ("all but the last", UPTO_PIVOT, Status.IN_PROGRESS, []),
    ("every step", (*UPTO_PIVOT, "notify done"), Status.COMPLETED, []),
    ("every step, the beginning not seen", (*UPTO_PIVOT[1:], "notify done"), Status.IN_PROGRESS, []),
    ("early facts of an unseen beginning", ("charge done",), Status.IN_PROGRESS, []),
    ("a beginning never seen", ("charge done", "begin overdue"), Status.NEEDS_ATTENTION, []),
    ("a beginning never seen, of what is refused", ("reserve done", "begin overdue", "charge refused"),
     Status.COMPENSATING, [("reserve", "undo")]),
    ("it gave up before its beginning was seen", ("reserve gave up",), Status.IN_PROGRESS, [("confirm", "bar")]),
    ("it came after all", ("charge done", "begin overdue", "begin done"), Status.IN_PROGRESS, []),
    # a refusal proves that nothing later happened; the refused step is not asked
    ("refused at the first step", ("begin done", "reserve refused"), Status.COMPENSATING, [("begin", "undo")]),
    ("that, closed", ("begin done", "reserve refused", "begin undone"), Status.FAILED, []),
    (
        "refused in the middle",
        ("begin done", "reserve done", "charge refused"),
        Status.COMPENSATING,
        [("reserve", "undo")],
    ),
    (
        "that, one undone",
        ("begin done", "reserve done", "charge refused", "reserve undone"),
        Status.COMPENSATING,
        [("begin", "undo")],
    ),
    (
        "that, all undone",
        ("begin done", "reserve done", "charge refused", "reserve undone", "begin undone"),
        Status.COMPENSATED,
        [],
    ),
    ("refused by the pivot", (*UPTO_CHARGE, "confirm refused"), Status.COMPENSATING, [("charge", "undo")]),
    (
        "a refusal heard before what it proves",
        ("begin done", "charge refused"),
        Status.COMPENSATING,
        [("reserve", "undo")],
    ),
    # time-out, give-up, cancellation: the pivot is asked first, and it alone
    ("overdue at the first step", ("begin done", "reserve overdue"), Status.IN_PROGRESS, [("confirm", "bar")]),
    ("overdue and then done", (*UPTO_CHARGE, "charge overdue"), Status.IN_PROGRESS, [("confirm", "bar")]),
    ("overdue at the pivot", (*UPTO_CHARGE, "confirm overdue"), Status.IN_PROGRESS, [("confirm", "bar")]),
    ("given up", ("begin done", "reserve gave up"), Status.IN_PROGRESS, [("confirm", "bar")]),
    ("the pivot gave up", (*UPTO_CHARGE, "confirm gave up"), Status.IN_PROGRESS, [("confirm", "bar")]),
    ("cancelled", ("begin done", "begin cancelled"), Status.STARTED, [("confirm", "bar")]),
    (
        "cancelled, the bar already heard",
        (*UPTO_CHARGE, "confirm barred", "begin cancelled"),
        Status.COMPENSATING,
        [("charge", "undo")],
    ),
    # the pivot says that it was done: forward it goes
    ("overdue but confirmed", (*UPTO_PIVOT, "charge overdue"), Status.IN_PROGRESS, []),
    ("cancelled too late", (*UPTO_PIVOT, "begin cancelled"), Status.IN_PROGRESS, []),
    ("cancelled too late, ended", (*UPTO_PIVOT, "begin cancelled", "notify done"), Status.COMPLETED, []),
    # barred: every step before the pivot is asked, heard of or not, newest first
    (
        "barred, nothing heard of",
        ("begin done", "reserve overdue", "confirm barred"),
        Status.COMPENSATING,
        [("charge", "undo")],
    ),
    (
        "the newest never happened",
        ("begin done", "reserve overdue", "confirm barred", "charge barred"),
        Status.COMPENSATING,
        [("reserve", "undo")],
    ),
    (
        "nothing ever happened",
        ("begin done", "reserve overdue", "confirm barred", "charge barred", "reserve barred", "begin undone"),
        Status.FAILED,
        [],
    ),
    (
        "one thing happened",
        ("begin done", "charge overdue", "confirm barred", "charge barred", "reserve undone", "begin undone"),
        Status.COMPENSATED,
        [],
    ),
    (
        "the refused step was asked and says barred",
        ("begin done", "reserve overdue", "confirm barred", "charge barred", "reserve refused", "begin undone"),
        Status.FAILED,
        [],
    ),
    # an undo that gives up does not hold the older ones, and is asked again
    (
        "the newest undo gave up",
        (*UPTO_CHARGE, "confirm barred", "charge undo gave up"),
        Status.NEEDS_ATTENTION,
        [("charge", "undo"), ("reserve", "undo")],
    ),
    (
        "it and the next gave up",
        (*UPTO_CHARGE, "confirm barred", "charge undo gave up", "reserve undo gave up"),
        Status.NEEDS_ATTENTION,
        [("charge", "undo"), ("reserve", "undo"), ("begin", "undo")],
    ),
    (
        "the older ones are undone",
        (*UPTO_CHARGE, "confirm barred", "charge undo gave up", "reserve undone", "begin undone"),
        Status.NEEDS_ATTENTION,
        [("charge", "undo")],
    ),
    (
        "and at last it is too",
        (*UPTO_CHARGE, "confirm barred", "charge undo gave up", "reserve undone", "begin undone", "charge undone"),
        Status.COMPENSATED,
        [],
    ),
    (
        "a ledger was lost",
        (*UPTO_CHARGE, "confirm barred", "charge ledger lost"),
        Status.NEEDS_ATTENTION,
        [("charge", "undo"), ("reserve", "undo")],
    ),
    ("the bar gave up", (*UPTO_CHARGE, "confirm overdue", "confirm undo gave up"), Status.NEEDS_ATTENTION,
     [("confirm", "bar")]),
    ("the bar gave up, for the pivot was done", (*UPTO_CHARGE, "confirm overdue", "confirm undo gave up",
     "confirm done"), Status.IN_PROGRESS, []),
    ("the judge lost its ledger", (*UPTO_CHARGE, "confirm overdue", "confirm ledger lost"), Status.NEEDS_ATTENTION,
     [("confirm", "bar")]),
    # after the pivot nothing is refunded
    ("the last step gave up", (*UPTO_PIVOT, "notify gave up"), Status.NEEDS_ATTENTION, [("notify", "retry")]),
    ("the last step is overdue", (*UPTO_PIVOT, "notify overdue"), Status.NEEDS_ATTENTION, [("notify", "retry")]),
    ("the last step was refused", (*UPTO_PIVOT, "notify refused"), Status.NEEDS_ATTENTION, [("notify", "retry")]),
    ("it is done after all", (*UPTO_PIVOT, "notify gave up", "notify overdue", "notify done"), Status.COMPLETED, []),
    ("it is done after a refusal", (*UPTO_PIVOT, "notify refused", "notify done"), Status.COMPLETED, []),
    ("it gave up, the pivot is not heard of", (*UPTO_CHARGE, "notify gave up"), Status.IN_PROGRESS, []),
    # what is before the pivot has certainly happened once the pivot has: if its event was lost, it is told again
    ("an event before the pivot was lost", ("begin done", "charge done", "confirm done", "notify done",
     "reserve overdue"), Status.NEEDS_ATTENTION, [("reserve", "retry")]),
    ("it is only late", ("begin done", "charge done", "confirm done", "notify done"), Status.IN_PROGRESS, []),
    ("it gave up first, its success is only late", ("begin done", "reserve done", "charge gave up", "confirm done"),
     Status.IN_PROGRESS, []),
    # poison
    ("poisoned on its way", ("begin done", "begin poisoned"), Status.NEEDS_ATTENTION, []),
    ("poisoned, yet complete", (*UPTO_PIVOT, "notify done", "begin poisoned"), Status.COMPLETED, []),
    # contradictions: only a ledger that went back in time
    ("done though barred", (*UPTO_PIVOT, "confirm barred"), Status.NEEDS_ATTENTION, []),
    ("a step done though barred", ("begin done", "confirm barred", "charge barred", "charge done"),
     Status.NEEDS_ATTENTION, []),
    ("done though refused", ("begin done", "reserve refused", "reserve done"), Status.NEEDS_ATTENTION, []),
    ("done after a refusal", ("begin done", "reserve refused", "charge done"), Status.NEEDS_ATTENTION, []),
    ("a later step undone though barred", ("begin done", "charge overdue", "confirm barred", "reserve barred",
     "charge undone"), Status.NEEDS_ATTENTION, []),
    ("a later step refused though barred", ("begin done", "reserve overdue", "confirm barred", "reserve barred",
     "charge refused"), Status.NEEDS_ATTENTION, []),
    ("two refusals, of which only one can be", ("begin done", "reserve refused", "charge refused"),
     Status.NEEDS_ATTENTION, []),
    ("undone though barred", ("begin done", "confirm barred", "charge barred", "charge undone"),
     Status.NEEDS_ATTENTION, []),
    ("undone though refused", ("begin done", "reserve refused", "reserve undone"), Status.NEEDS_ATTENTION, []),
    ("undone after a refusal", ("begin done", "reserve refused", "charge undone"), Status.NEEDS_ATTENTION, []),
    ("told though barred", ("begin done", "confirm barred", "notify done"), Status.NEEDS_ATTENTION, []),
    ("told though stated undone", (*UPTO_CHARGE, "confirm ledger lost", "confirm stated undone", "notify done"),
     Status.NEEDS_ATTENTION, []),
    ("refunded though confirmed", (*UPTO_PIVOT, "notify done", "charge undone"), Status.NEEDS_ATTENTION, []),
    ("cancelled though confirmed", (*UPTO_PIVOT, "begin undone"), Status.NEEDS_ATTENTION, []),
    # a person closed it
    ("aborted", (*UPTO_CHARGE, "confirm barred", "charge undo gave up", "begin aborted"), Status.ABORTED, []),
    ("aborted in contradiction", (*UPTO_PIVOT, "confirm barred", "begin aborted"), Status.ABORTED, []),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "status", "asked"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_facts_say_where_a_saga_stands_and_what_to_ask(
    facts: tuple[str, ...], status: Status, asked: list[tuple[str, str]]
) -> None:
    """Each row of DESIGN 6, on a saga with a pivot."""
    progress = known(*facts)

    assert lifecycle.status(ORDER, progress) is status
    assert list(lifecycle.wanted(ORDER, progress)) == [(step, Request(request)) for step, request in asked]


PIVOTLESS_ROWS: list[tuple[str, tuple[str, ...], Status, list[str]]] = [
    ("every step", ("begin done", "reserve done", "charge done"), Status.COMPLETED, []),
    ("overdue: all are asked", ("begin done", "reserve overdue"), Status.COMPENSATING, ["charge"]),
    ("given up: all are asked", ("begin done", "reserve done", "charge gave up"), Status.COMPENSATING, ["charge"]),
    ("cancelled", ("begin done", "reserve done", "begin cancelled"), Status.COMPENSATING, ["charge"]),
    ("refused: the older ones", ("begin done", "reserve done", "charge refused"), Status.COMPENSATING, ["reserve"]),
    ("undone", ("begin done", "reserve done", "charge refused", "reserve undone", "begin undone"),
     Status.COMPENSATED, []),
    ("never begun", ("begin done", "reserve overdue", "charge barred", "reserve barred", "begin undone"),
     Status.FAILED, []),
    ("cancelled when every step was done", ("begin done", "reserve done", "charge done", "begin cancelled"),
     Status.COMPENSATING, ["charge"]),
    ("overdue, and then every step was done", ("begin done", "reserve overdue", "reserve done", "charge done"),
     Status.COMPENSATING, ["charge"]),
    ("that, all undone", ("begin done", "reserve overdue", "reserve done", "charge done", "charge undone",
     "reserve undone", "begin undone"), Status.COMPENSATED, []),
    ("undone though complete", ("begin done", "reserve done", "charge done", "charge undone"),
     Status.NEEDS_ATTENTION, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "status", "asked"), [row[1:] for row in PIVOTLESS_ROWS], ids=[row[0] for row in PIVOTLESS_ROWS]
)
def test_without_a_pivot_all_steps_are_asked(facts: tuple[str, ...], status: Status, asked: list[str]) -> None:
    """Nobody judges: once in doubt it is turned back."""
    progress = known(*facts, saga=PIVOTLESS)

    assert lifecycle.status(PIVOTLESS, progress) is status
    assert list(lifecycle.wanted(PIVOTLESS, progress)) == [(step, Request.UNDO) for step in asked]


def test_a_request_carries_proof_that_its_step_happened() -> None:
    """The event itself if it was seen, else any later one that was only possible after it."""
    progress = known("begin done", "charge refused")

    assert lifecycle.proof(ORDER, progress, "begin") == "begin-done"
    assert lifecycle.proof(ORDER, progress, "reserve") == "charge-refused"
    assert lifecycle.proof(ORDER, progress, "charge") is None


def test_a_success_proves_the_steps_before_it() -> None:
    """Stock's event was lost on its way; were its ledger lost too, "never heard of it" must not pass for undone."""
    progress = known("begin done", "reserve overdue", "charge done", "confirm barred", "charge undone")

    assert list(lifecycle.wanted(ORDER, progress)) == [("reserve", Request.UNDO)]
    assert lifecycle.proof(ORDER, progress, "reserve") == "charge-done"


@pytest.mark.parametrize(
    ("facts", "status", "asked"),
    [
        (("begin done", "reserve refused"), Status.FAILED, []),
        ((*UPTO_CHARGE, "confirm barred", "charge undone"), Status.COMPENSATING, ["reserve"]),
        ((*UPTO_CHARGE, "confirm barred", "charge undone", "reserve undone"), Status.COMPENSATED, []),
    ],
)
def test_a_beginning_that_nobody_can_undo_is_not_waited_for(
    facts: tuple[str, ...], status: Status, asked: list[str]
) -> None:
    """A table without ``cancelled_by``: the saga ends with its steps."""
    saga = replace(ORDER, cancelled_by=None)
    progress = known(*facts, saga=saga)

    assert lifecycle.status(saga, progress) is status
    assert list(lifecycle.wanted(saga, progress)) == [(step, Request.UNDO) for step in asked]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (("begin done", "reserve done"), ""),
        (("begin done", "reserve barred"), ""),
        (("begin done", "reserve done", "charge refused", "reserve undone"), "charge: because of refused"),
        ((*UPTO_CHARGE, "begin cancelled", "confirm overdue", "confirm barred"), "begin: because of cancelled"),
        ((*UPTO_CHARGE, "confirm barred"), "confirm: barred"),
        ((*UPTO_PIVOT, "begin poisoned"), "an event could not be understood: because of poisoned"),
    ],
)
def test_the_reason_of_a_saga_is_what_went_wrong_first(facts: tuple[str, ...], reason: str) -> None:
    """Whatever followed from it, and was told later, explains nothing."""
    assert lifecycle.reason(ORDER, known(*facts)) == reason


def test_an_undo_proves_the_steps_before_it() -> None:
    """Payment refunds before its success is read; were stock's ledger lost, "never heard of it" must not pass."""
    progress = known("begin done", "reserve overdue", "confirm barred", "charge undone")

    assert list(lifecycle.wanted(ORDER, progress)) == [("reserve", Request.UNDO)]
    assert lifecycle.proof(ORDER, progress, "reserve") == "charge-undone"
