"""Every query of every panel, asked of a real Prometheus that watched a real shop at work."""

from __future__ import annotations

import math

import pytest

from tests.monitoring import dashboard
from tests.monitoring.conftest import Watched
from tests.monitoring.copies import LABEL, NOTHING, Copies
from tests.monitoring.dashboard import Query
from tests.monitoring.prometheus_server import Prometheus, Sample, until
from tests.monitoring.shop import statistics

pytestmark = pytest.mark.processes

QUERIES = dashboard.all_queries()
ENDED = {"Completed": 6, "Compensated": 4, "Failed": 2, "Aborted": 0}


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_every_query_of_every_panel_gives_data(query: Query, watched: Watched) -> None:
    assert has_data(answer(watched.prometheus, query))


def test_a_renamed_metric_silences_what_shows_it_and_nothing_else(watched: Watched, copied: Copies) -> None:
    """The test above has teeth: it fails for each family in use as soon as the shop exports another name."""
    server = copied.scraped(watched.before, watched.after)

    silent = {
        family: {str(query) for query in QUERIES if not has_data(answer(server, query.only_of(LABEL, family)))}
        for family in copied.families
    }

    assert len(copied.families) > 10
    assert silent.pop(NOTHING) == set()
    assert silent == {family: {str(query) for query in QUERIES if family in query.families} for family in silent}


def test_the_overview_says_what_the_statistics_say(watched: Watched) -> None:
    """Two coordinators are scraped, and nothing is counted twice."""
    told = statistics(watched.shop)

    shown = {query.legend: watched.prometheus.value(query.text) for query in of("Saga overview statistics")}

    assert shown.pop("Oldest unfinished") > 0
    assert shown.pop("Average duration") == pytest.approx(told["duration"]["averageMs"] / 1000, abs=1e-5)
    assert shown == {"Started": 13, "Unfinished": 1, "Need attention": 0, **ENDED}
    assert told["byStatus"].items() >= ENDED.items()


def test_the_rates_are_those_of_the_statistics(watched: Watched) -> None:
    told = statistics(watched.shop)
    (success,), (compensation,) = of("Success rate"), of("Compensation rate")

    assert watched.prometheus.value(success.text) == pytest.approx(told["successRate"], abs=1e-6)
    assert watched.prometheus.value(compensation.text) == pytest.approx(told["compensationRate"], abs=1e-6)


def test_the_pie_shows_every_saga_once(watched: Watched) -> None:
    shown: dict[str, float] = {}
    for query in of("Status distribution"):
        shown |= {labels.get("status", query.legend): value for labels, value in answer(watched.prometheus, query)}

    assert shown == {**ENDED, "Started": 0, "InProgress": 1, "Compensating": 0, "NeedsAttention": 0}


def test_the_one_saga_that_has_not_ended_is_the_active_one(watched: Watched) -> None:
    (query,) = of("Active sagas")

    shown = {labels["status"]: value for labels, value in watched.prometheus.ask(query.text)}

    assert shown == {"Started": 0, "InProgress": 1, "Compensating": 0, "NeedsAttention": 0}


def test_steps_are_shown_as_shares_of_the_sagas_begun(watched: Watched) -> None:
    (query,) = of("Step completion")
    (order,) = statistics(watched.shop)["processes"]

    shares = {labels["step"]: value for labels, value in answer(watched.prometheus, query)}

    assert shares == pytest.approx({step["name"]: step["done"] / 13 for step in order["steps"]})


def test_the_bands_of_durations_hold_every_saga_that_ended(watched: Watched) -> None:
    """The last band is open: what it counts is everything."""
    (query,) = of("Duration distribution")

    bands = {labels["le"]: value for labels, value in watched.prometheus.ask(query.text)}

    assert max(bands.values()) == bands["+Inf"] > 0
    assert len(bands) == 15


def test_every_event_of_the_order_is_on_the_way(watched: Watched) -> None:
    (query,) = of("Events over time")

    happening = {labels["type"] for labels, value in watched.prometheus.ask(query.text) if value > 0}

    assert happening >= {"OrderCreated", "StockReserved", "PaymentProcessed", "OrderConfirmed", "NotificationSent"}
    assert happening >= {"StockReservationFailed", "PaymentFailed", "StockReleased", "OrderCancelled"}


def test_the_alerts_see_the_same(watched: Watched) -> None:
    """Four of thirteen are turned back, and refusals are many; but no saga is old, none is stuck, nobody is silent."""
    due = {"SagaCompensationRateHigh", "SagaStepFailureRateHigh", "SagaCompletionBudgetBurns"}

    def waiting() -> bool:
        rules = watched.prometheus.alerting_rules()
        return {name for name, rule in rules.items() if rule["state"] != "inactive"} == due

    until(waiting, "the alerts that are due wait for their time")

    assert {rule["health"] for rule in watched.prometheus.alerting_rules().values()} == {"ok"}


def test_what_the_business_sees_is_what_was_counted(watched: Watched) -> None:
    """Within the range shown nothing went on before the shop began."""
    shown = {query.legend: watched.prometheus.value(query.text) for query in of("Ended in this range")}

    assert shown == {"Begun": 13, "Completed": 6, "Compensated": 4, "Failed": 2, "Not ended yet": 1}


def test_promises_are_shown_as_they_were_kept(watched: Watched) -> None:
    """Half of the sagas that ended were completed; no request failed."""
    kept = {query.legend: watched.prometheus.value(query.text) for query in of("Kept in this range")}
    spent = {query.legend: watched.prometheus.value(query.text) for query in of("Budget spent in this range")}

    assert kept == pytest.approx(
        {"Completed (99.5 %)": 0.5, "Answered (99.9 %)": 1, "Fast (95 %)": kept["Fast (95 %)"]}
    )
    assert spent == pytest.approx({"Completed": 100, "Answered": 0, "Fast": (1 - kept["Fast (95 %)"]) / 0.05})


def test_every_service_is_seen_and_what_is_in_hand_is_the_payments(watched: Watched) -> None:
    """Who waits for the provider has something in hand, nobody else has."""
    (answering,), (held,) = of("Services that answer"), of("Entries in hand")

    up = {labels["service"]: value for labels, value in watched.prometheus.ask(answering.text)}
    in_hand = {labels["group"]: value for labels, value in watched.prometheus.ask(held.text) if value}

    assert up == dict.fromkeys(
        ("order-service", "stock-service", "payment-service", "notification-service", "coordinator"), 1
    )
    assert in_hand.keys() == {"payment"}


def of(panel: str) -> list[Query]:
    """Return the queries of one panel."""
    return [query for query in QUERIES if query.panel == panel]


def answer(server: Prometheus, query: Query) -> list[Sample]:
    """Ask a query as its panel asks it."""
    return (server.ask_range if query.is_range else server.ask)(query.text)


def has_data(samples: list[Sample]) -> bool:
    """Tell whether there is a number to be shown."""
    return any(math.isfinite(value) for _, value in samples)
