"""A run in a storm counts only if everything that can go wrong did, and only the auditor says that all is well.

The storm itself is tried by ``tests/processes/test_chaos.py``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.chaos.calm import Life, Verdict
from tests.chaos.customers import wishes
from tests.chaos.faults import Fault, Kind, Sign
from tests.chaos.summary import Code, Summary

OF_THE_PROVIDER = (Kind.SILENT_PROVIDER, Kind.BROKEN_PROVIDER, Kind.SLOW_PROVIDER)
CLEAN = Verdict(compared=10, unknown=Counter(), differences=(), found_meanwhile=())
WHOLE = Summary(
    seed=1,
    sagas=2,
    rate=5.0,
    about="a server",
    ordered_s=1.0,
    took_s=2.0,
    faults=tuple(
        Fault(kind, "somebody", at_ms=1000, until_ms=2000, count=1, proof="seen")
        for kind in Kind
        if kind not in OF_THE_PROVIDER
    ),
    of_the_provider=dict.fromkeys(OF_THE_PROVIDER, 1),
    signs=dict.fromkeys(Sign, 1),
    lives=(Life("Completed", 1500, 1600), Life("Completed", 2100, 2500)),
    cancelled=0,
    unrest="",
    verdict=CLEAN,
)


def test_a_run_in_which_everything_happened_and_nothing_differs_is_clean() -> None:
    assert WHOLE.code() is Code.CLEAN


@pytest.mark.parametrize("kind", Kind)
def test_a_run_in_which_a_kind_of_fault_never_fired_does_not_count(kind: Kind) -> None:
    faults = tuple(fault for fault in WHOLE.faults if fault.kind is not kind)
    of_the_provider = {each: many for each, many in WHOLE.of_the_provider.items() if each is not kind}

    without = replace(WHOLE, faults=faults, of_the_provider=of_the_provider)

    assert (without.code(), without.missing()) == (Code.INVALID, [kind])


def test_a_fault_without_proof_has_not_happened() -> None:
    faults = tuple(replace(fault, count=0) if fault.kind is Kind.LOST else fault for fault in WHOLE.faults)

    assert replace(WHOLE, faults=faults).missing() == [Kind.LOST]


@pytest.mark.parametrize("sign", Sign)
def test_a_run_in_which_a_defence_was_never_at_work_does_not_count(sign: Sign) -> None:
    without = replace(WHOLE, signs={each: many for each, many in WHOLE.signs.items() if each is not sign})

    assert (without.code(), without.missing()) == (Code.INVALID, [sign])


@pytest.mark.parametrize(
    "lie",
    [
        {"verdict": replace(CLEAN, differences=("stock-adds-up: one piece is missing",))},
        {"verdict": replace(CLEAN, found_meanwhile=("one-end: two ends",))},
        {"unrest": "stock has 1 open"},
        {"lives": (WHOLE.lives[0], None)},
        {"lives": WHOLE.lives[:1]},
    ],
    ids=["the audit", "a coordinator's audit", "unrest", "no record", "an order that was not accepted"],
)
def test_whatever_is_not_so_fails_a_run_even_one_that_does_not_count(lie: dict[str, object]) -> None:
    untrue = replace(WHOLE, signs={}, **lie)  # type: ignore[arg-type]  # fields of Summary

    assert untrue.code() is Code.UNTRUE
    assert "UNTRUE" in "\n".join(untrue.lines())


def test_the_longest_recovery_ends_with_an_order_placed_after_the_fault() -> None:
    """From 2.0 s, when the faults were lifted, to 2.5 s; the order of 1.5 s was there before."""
    found = WHOLE.recovery()

    assert found is not None
    assert found.seconds == 0.5


def test_a_fault_that_was_followed_by_another_is_not_recovered_from_before_that_one_is() -> None:
    late = Fault(Kind.KILL, "somebody", at_ms=2050, until_ms=2090, count=1, proof="seen")

    found = replace(WHOLE, faults=(*WHOLE.faults, late)).recovery()

    assert found is not None
    assert (found.fault, found.seconds) == (late, 0.41)


def test_a_seed_says_what_customers_want() -> None:
    assert list(wishes(7, 50)) == list(wishes(7, 50))
    assert list(wishes(7, 50)) != list(wishes(8, 50))
