"""Figures read back from their counters, and what they amount to."""

from __future__ import annotations

import pytest

from coordinator.order_saga import ORDER
from sagastream.coordinator.counts import Counts, Durations
from sagastream.coordinator.fleet import Fleet
from sagastream.coordinator.statistics import statistics
from sagastream.saga.counting import BOUNDS
from sagastream.saga.lifecycle import Status

STORED = {
    "started|order": "10",
    "turned_back|order": "2",
    "ended|order|Completed": "6",
    "ended|order|Compensated": "1",
    "ended|order|Failed": "1",
    "duration|order|0.05": "4",
    "duration|order|0.1": "4",
    "duration_ms|order": "440",
    "steps|order|reserve stock|done": "9",
    "steps|order|reserve stock|undone": "1",
    "steps|order|reserve stock|refused": "1",
    "timeouts|order|charge payment": "1",
    "started|stranger": "1",
    "late": "3",
}
ACTIVE = {("order", Status.IN_PROGRESS): 1, ("order", Status.COMPENSATING): 1, ("stranger", Status.STARTED): 1}


def spread(**counts: int) -> Durations:
    """Return durations by bound, written ``up_to_0_05=4``."""
    by_bound = {float(name.removeprefix("up_to_").replace("_", ".")): count for name, count in counts.items()}
    return Durations(tuple(by_bound.get(bound, 0) for bound in (*BOUNDS, float("inf"))), 0)


@pytest.mark.parametrize(
    ("durations", "share", "expected"),
    [
        (Durations(), 0.5, None),
        (spread(up_to_0_05=4), 0.5, 37.5),
        (spread(up_to_0_05=4), 1.0, 50.0),
        (spread(up_to_0_005=2), 0.5, 2.5),
        (spread(up_to_0_05=5, up_to_0_5=5), 0.5, 50.0),
        (spread(up_to_0_05=5, up_to_0_5=5), 0.9, 450.0),
        (spread(up_to_0_05=1, up_to_inf=9), 0.95, 300_000.0),
    ],
)
def test_a_quantile_is_interpolated_within_its_bucket(
    durations: Durations, share: float, expected: float | None
) -> None:
    assert durations.quantile_ms(share) == (None if expected is None else pytest.approx(expected))


def test_rates_are_those_of_the_contract() -> None:
    """Success is completed by ended, compensation is turned back by started."""
    told = statistics(Fleet(0, Counts.of(STORED), ACTIVE, None, None), [ORDER])

    order = told.processes[0]
    assert (order.started, order.active, order.ended, order.turned_back) == (10, 2, 8, 2)
    assert (order.success_rate, order.compensation_rate) == (0.75, 0.2)
    assert (order.duration.count, order.duration.average_ms, order.duration.p50_ms) == (8, 55, 50)
    assert (told.started, told.active, told.late_events) == (11, 3, 3)
    assert [one.business_process for one in told.processes] == ["order", "stranger"]
    assert told.by_status[Status.STARTED] == 1


def test_steps_say_how_often_they_went_which_way() -> None:
    told = statistics(Fleet(0, Counts.of(STORED), ACTIVE, None, None), [ORDER])

    stock, payment, *_ = told.processes[0].steps
    assert (stock.name, stock.done, stock.undone, stock.refused, stock.timeouts) == ("reserve stock", 9, 1, 1, 0)
    assert (payment.name, payment.timeouts, payment.duration.average_ms) == ("charge payment", 1, None)


def test_where_there_is_nothing_to_divide_a_rate_is_not_known() -> None:
    """Before the first saga there is no success rate, neither 0 nor 100 %."""
    told = statistics(Fleet(0, Counts({}), {}, None, None), [ORDER])

    assert (told.success_rate, told.compensation_rate, told.duration.p99_ms) == (None, None, None)
    assert [step.name for step in told.processes[0].steps] == [step.name for step in ORDER.steps]
