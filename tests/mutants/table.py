"""Planted bugs and what kills each of them. A row's patch is ``tests/mutants/<patch>.patch``.

A killer is a test that fails by an assertion as long as the bug is there. It is named alone, so that it is found at
once which promise a bug breaks, and so that a whole run takes no minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

CORE = "tests/unit/core/"
LEDGER = CORE + "test_ledger_rules.py::"
FAULTS = CORE + "test_consumer_faults.py::"
LETTERS = CORE + "test_retries_and_letters.py::"
COORDINATOR = CORE + "test_coordinator.py::"
DEADLINES = CORE + "test_deadlines.py::"
ADVANCE = "tests/unit/saga/test_advance.py::"
PAYMENT = "tests/unit/payment/test_payment_handlers.py::"
GATEWAY = "tests/unit/payment/test_payment_gateway.py::"
STOCK = "tests/unit/stock/test_stock_handlers.py::"
SCRIPT = "tests/server/core/test_transaction.py::"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug, in a few words, its patch and the test that does not let it live.

    ``caught_as`` names the product's own error where that stands in the way of the bug before the test can.
    """

    bug: str
    patch: str
    killer: str
    caught_as: str = "AssertionError"

    @property
    def file(self) -> Path:
        """Return where the patch is."""
        return HERE / f"{self.patch}.patch"


TABLE = (
    Mutant("no bar", "01-no-bar", ADVANCE + "test_a_time_out_asks_nothing_but_the_bar"),
    Mutant("no closed key", "02-no-closed-key", PAYMENT + "test_closing_a_step_that_never_charged_forbids_it"),
    Mutant("oldest first", "03-oldest-first", ADVANCE + "test_steps_are_asked_newest_first_and_one_at_a_time"),
    Mutant("no tombstone", "04-no-tombstone", LEDGER + "test_a_barred_pivot_stays_barred"),
    Mutant("no duplicate check", "05-no-duplicate-check", LEDGER + "test_a_step_that_was_done_is_done_once"),
    Mutant(
        "guard before duplicate check",
        "06-guard-before-duplicate-check",
        SCRIPT + "test_a_duplicate_is_recognised_before_its_guards[embedded]",
    ),
    Mutant(
        "acknowledge before commit",
        "07-acknowledge-before-commit",
        FAULTS + "test_wherever_a_worker_dies_its_successor_finishes_with_one_effect[EVALSHA-before]",
    ),
    Mutant(
        "blind release",
        "08-blind-release",
        STOCK + "test_a_release_that_comes_too_late_takes_nothing_from_another_order",
    ),
    Mutant(
        "undo announced for nothing",
        "09-undo-announced-for-nothing",
        LEDGER + "test_an_undo_before_its_step_bars_it_and_announces_no_undo",
    ),
    Mutant(
        "compensation announced for nothing",
        "10-compensation-announced-for-nothing",
        ADVANCE + "test_a_refusal_at_the_first_step_announces_no_compensation",
    ),
    Mutant(
        "refund with a fresh key",
        "11-refund-with-a-fresh-key",
        PAYMENT + "test_what_was_taken_is_given_back_under_the_key_it_was_taken_with",
        caught_as="payment_service.model.RefundDiffers",
    ),
    Mutant(
        "time-out treated as a refusal",
        "12-time-out-treated-as-a-refusal",
        GATEWAY + "test_a_silent_charge_has_landed_and_is_answered_when_asked_again",
    ),
    Mutant(
        "unknown treated as a refusal",
        "13-unknown-treated-as-a-refusal",
        PAYMENT + "test_an_unknown_outcome_decides_nothing",
    ),
    Mutant(
        "own pending entries not drained",
        "14-own-pending-not-drained",
        FAULTS + "test_what_was_under_way_at_a_crash_comes_first_at_the_next_start",
    ),
    Mutant(
        "group recreated at `$`",
        "15-group-recreated-at-the-end",
        FAULTS + "test_a_lost_group_is_made_again_from_the_beginning",
    ),
    Mutant(
        "attempt raised by server trouble",
        "16-attempt-raised-by-server-trouble",
        FAULTS + "test_a_read_of_a_handler_that_the_server_does_not_answer_is_no_attempt",
    ),
    Mutant("random event ids", "17-random-event-ids", LEDGER + "test_an_event_has_the_same_id_on_every_attempt"),
    Mutant(
        "version check missing",
        "18-version-check-missing",
        COORDINATOR + "test_a_write_that_finds_another_version_is_decided_again",
    ),
    Mutant(
        "sweep that pops",
        "19-sweep-that-pops",
        DEADLINES + "test_a_sweep_that_dies_anywhere_loses_no_timer[on_way_there-turn]",
    ),
    Mutant(
        "deadline without watermark",
        "20-deadline-without-watermark",
        DEADLINES + "test_a_deadline_waits_for_what_another_coordinator_has_read_and_not_stored",
    ),
    Mutant(
        "counters in process",
        "21-counters-in-process",
        COORDINATOR + "test_however_many_coordinators_every_saga_is_counted_once[2]",
    ),
    Mutant(
        "burying without `StepGaveUp`",
        "22-burying-without-step-gave-up",
        LETTERS + "test_after_the_last_attempt_the_message_is_buried_whole",
    ),
    Mutant(
        "per-line instead of summed guard",
        "23-per-line-guard",
        SCRIPT + "test_two_lines_of_one_counter_are_summed[embedded]",
    ),
    Mutant(
        "begun step barred unclosed",
        "24-begun-step-barred-unclosed",
        LEDGER + "test_a_begun_step_is_closed_before_it_is_undone",
    ),
    Mutant(
        "confirmation told once",
        "25-confirmation-told-once",
        LEDGER + "test_a_repeated_request_is_answered_by_the_stored_confirmation",
    ),
    Mutant(
        "undo after the step", "26-undo-after-the-step", LEDGER + "test_an_undo_in_one_batch_with_its_step_goes_first"
    ),
    Mutant(
        "lost ledger barred",
        "27-lost-ledger-barred",
        LEDGER + "test_a_ledger_that_should_know_a_step_says_that_it_was_lost",
    ),
)
