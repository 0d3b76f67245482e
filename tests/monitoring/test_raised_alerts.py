"""Each alert is raised once by a real fault: a real shop, a real Prometheus, the shipped rules, a minute of one second.

Beside the rules run their mutants, one for each series, as they would be had the shop exported another name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import redis

from prometheus.rules import OBJECTIVES, PACES, rules
from sagastream.ports import free_port
from sagastream.rundir import RunDir
from tests.monitoring.conftest import watching
from tests.monitoring.prometheus_server import Prometheus, prometheus, until
from tests.monitoring.shop import leave_one, shop
from tests.needs import program
from tests.processes.child import Child, environment
from tests.processes.orders import an_order

pytestmark = pytest.mark.processes

FAST = rules(timedelta(seconds=1))
SERIES = sorted(set(re.findall(r"choreographed_saga_\w+", FAST)))
ALERTS = [
    *((name, "") for name in re.findall(r"alert: (\w+)$", FAST, re.MULTILINE) if "Budget" not in name),
    *((objective.alert, pace[1]) for objective in OBJECTIVES for pace in PACES),
]
_PATIENCE = {"PROVIDER_SILENCE": "300", "PAYMENT_TIMEOUT": "300"}
_HASTE = {"ORDER_DEADLINE_PACE": "0.2", "AUDIT_EVERY": "1", "CLAIM_IDLE": "2", "BLOCK": "0.2"}


@dataclass
class Story:
    """What was seen to fire: while all was well, fault by fault, and ever; with all rules and what they ask."""

    raised: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    at_rest: set[tuple[str, str]] = field(default_factory=set)
    ever: set[tuple[str, str]] = field(default_factory=set)
    queries: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Scene:
    """A shop, its server, and who watches both."""

    shop: httpx.Client
    server: redis.Redis
    prometheus: Prometheus
    story: Story

    def raised(self, by: str, *alerts: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Let the fault go on, by ``meanwhile``, until these alerts fire, whatever their windows; note which did.

        Their mutants that lack nothing they need are judged at other instants of each second, and waited for too.
        """
        wanted = {alert for alert in ALERTS if alert[0] in alerts}
        queries = self.prometheus.rules()
        alike = {
            (f"{name}_without_{at}", window)
            for name, window in wanted
            for at, series in enumerate(SERIES) if series not in series_of((name, window), queries)
        }  # fmt: skip

        def are_raised() -> bool:
            meanwhile()
            return wanted | alike <= self.prometheus.firing()

        until(are_raised, f"{by} raises {sorted(wanted)}, and so do their mutants that may", within_s=60)
        self.story.raised[by] = wanted


def mutated(at: int) -> str:
    """Return the rules as if one series were exported under another name; their own names say so."""
    text = re.sub(rf"\b{SERIES[at]}\b", f"{SERIES[at]}_renamed", FAST)
    records = re.findall(r"record: (\S+)", text)
    for record in sorted(records, key=len, reverse=True):
        text = re.sub(rf"(?<![\w:]){record}(?![\w:])", f"without{at}:{record}", text)
    return re.sub(r"alert: (\w+)", rf"alert: \1_without_{at}", text)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Play one fault after the other, and wait each time until what it must raise fires."""
    program("prometheus")
    port, directory = free_port(), tmp_path_factory.mktemp("raised")
    files = {"alerts.yml": FAST, **{f"without-{at}.yml": mutated(at) for at in range(len(SERIES))}}
    told = Story()
    with prometheus(watching(tmp_path_factory.mktemp("prometheus"), port, files)) as server:
        with shop(directory, port, **_PATIENCE, **_HASTE) as client:
            url = RunDir(directory / "run").read("redis", "url")
            assert url is not None
            with redis.Redis.from_url(url, decode_responses=True) as store:
                scene = Scene(client, store, server, told)
                for play in (well, slow_store, declined_cards, silent_provider, corrupt_event, lost_entries,
                             forgotten_timer, table_taken_back, full_store):  # fmt: skip
                    play(scene)
        lonely_front(scene, directory, port)
        no_shop(scene)
        told.ever, told.queries = server.firing(at_any_time=True), server.rules()
    return told


def well(scene: Scene) -> None:
    """An order is completed; nothing is to be told."""
    until(lambda: scene.prometheus.value("min(choreographed_saga_started_total)") == 0, "the start is scraped")
    assert place(scene, "CreditCard", wait=20).status_code == 200
    until(lambda: scene.prometheus.value("min(choreographed_saga_completed_total)") == 1, "the end is scraped")
    then = time.time()
    until(lambda: scene.prometheus.evaluated_since(then), "every rule is evaluated on that")
    until(lambda: not scene.prometheus.ask('ALERTS{alertstate="pending"}'), "what waits for its time is told")
    scene.story.at_rest = scene.prometheus.firing()


def slow_store(scene: Scene) -> None:
    """The store answers nobody for seven tenths of a second, again and again."""

    def ask(number: int) -> int:
        return scene.shop.get(f"/api/orders/order-{number}").status_code

    def let_wait() -> None:
        scene.server.execute_command("CLIENT", "PAUSE", "700", "ALL")
        assert set(customers.map(ask, range(20))) == {404}

    with ThreadPoolExecutor(20) as customers:
        scene.raised("a slow store", "RequestLatencyBudgetBurns", "MostRequestsSlow", meanwhile=let_wait)


def declined_cards(scene: Scene) -> None:
    """One card after the other is declined."""
    told = ("SagaCompensationRateHigh", "SagaStepFailureRateHigh", "SagaCompletionBudgetBurns")
    scene.raised("declined cards", *told, meanwhile=lambda: place(scene, "DeclinedCard", wait=20))


def silent_provider(scene: Scene) -> None:
    """The provider takes the money and says nothing."""
    leave_one(scene.shop)
    scene.raised("a silent provider", "SagaOlderThanFiveMinutes", "SagaMessagesPending")


def corrupt_event(scene: Scene) -> None:
    """Somebody writes an event that nobody can read, of a saga that is under way."""
    saga_id = leave_one(scene.shop)
    (entry,) = scene.server.xrevrange("saga:{stock}:events:StockReserved", count=1)
    corrupt = {**entry[1], "id": "corrupt", "type": "PaymentProcessed", "source": "payment", "time": "never"}
    assert corrupt["correlationid"] == saga_id
    scene.server.xadd("saga:{payment}:events:PaymentProcessed", corrupt)
    scene.raised("a corrupt event", "SagaNeedsAttention", "SagaDeadLetters")


def lost_entries(scene: Scene) -> None:
    """Somebody trims a stream to nothing while a message of it is in hand."""
    leave_one(scene.shop)
    scene.server.xtrim("saga:{stock}:events:StockReserved", maxlen=0, approximate=False)
    scene.raised("lost entries", "SagaEntriesTrimmed")


def forgotten_timer(scene: Scene) -> None:
    """A saga that has ended keeps a timer."""
    saga_id = place(scene, "PayPal", wait=20).json()["sagaId"]
    scene.server.zadd("saga:{saga}:timers", {saga_id: 10**13})
    scene.raised("a forgotten timer", "SagaAuditDiffers")


def table_taken_back(scene: Scene) -> None:
    """An event comes of a version of the order's table that no coordinator knows any more."""
    (entry,) = scene.server.xrevrange("saga:{order}:events:OrderCreated", count=1)
    saga = {"correlationid": "taken-back", "partitionkey": "taken-back", "id": "taken-back"}
    scene.server.xadd("saga:{order}:events:OrderCreated", {**entry[1], **saga, "definitionversion": "9"})
    scene.raised("a table that was taken back", "SagaEventsParked")


def full_store(scene: Scene) -> None:
    """The store is out of memory when a deadline passes: it answers, and takes no writes."""
    leave_one(scene.shop)
    scene.server.config_set("maxmemory", "1")

    def is_told() -> bool:
        assert place(scene, "CreditCard").status_code == 503
        return {("SagaDeadlinesLate", ""), ("RequestErrorBudgetBurns", "1h")} <= scene.prometheus.firing()

    until(is_told, "failed requests and late deadlines are told", within_s=90)
    scene.raised("a full store", "SagaDeadlinesLate", "RequestErrorBudgetBurns")
    scene.raised("a store that stays full", "SagaAuditStandsStill")
    scene.server.config_set("maxmemory", "0")


def lonely_front(scene: Scene, directory: Path, port: int) -> None:
    """The front is there; of the services behind it one is gone, and one is not known to Prometheus."""
    telling, log = environment(directory, REDIS_URL="redis://127.0.0.1:9/0"), directory / "lonely.log"
    gone, unseen = f"http://127.0.0.1:{free_port()}", free_port()
    upstreams = ["--upstream", f"gone={gone}", "--upstream", f"unseen=http://127.0.0.1:{unseen}"]
    service = ["service", "stock_service.app:create_service", "--name", "stock-service", "--port", str(unseen)]
    here = [Child(words, telling, log) for words in (["front", "--port", str(port), *upstreams], service)]
    try:
        scene.raised("services out of reach", "SagaServiceDown", "SagaServiceUnseen")
    finally:
        for child in here:
            child.kill()


def no_shop(scene: Scene) -> None:
    """The shop is gone."""
    scene.raised("no shop", "SagaFiguresMissing", "SagaFrontMissing")


def place(scene: Scene, method: str, wait: int = 0) -> httpx.Response:
    """Place an order."""
    query = f"?wait={wait}" if wait else ""
    return scene.shop.post(f"/api/orders/choreographed-saga{query}", json=an_order(method=method))


def test_every_alert_is_raised_by_a_fault(story: Story) -> None:
    raised = [alert for alerts in story.raised.values() for alert in alerts]

    assert sorted(raised) == sorted(ALERTS)


def test_nothing_is_raised_while_all_is_well(story: Story) -> None:
    assert story.at_rest.isdisjoint(ALERTS)


@pytest.mark.parametrize("alert", ALERTS, ids=" ".join)
def test_a_series_under_another_name_changes_the_alerts_that_need_it_and_no_other(
    alert: tuple[str, str], story: Story
) -> None:
    """The tests above have teeth: each alert stands and falls with each of its series.

    One that is about what is not there is raised at rest by a series of another name.
    """
    name, window = alert

    affected = {
        one
        for at, one in enumerate(SERIES)
        if any((alert in told) != ((f"{name}_without_{at}", window) in told) for told in (story.at_rest, story.ever))
    }

    assert affected == series_of(alert, story.queries) != set()


def series_of(alert: tuple[str, str], queries: list[tuple[str, str]]) -> set[str]:
    """Return the series an alert looks at, by itself or through what is recorded."""
    known, (name, window) = dict(queries), alert
    (text,) = [query for each, query in queries if each == name and (not window or f"_{window} " in query)]
    while more := [name for name in known if ":" in name and re.search(rf"(?<![\w:]){name}(?![\w:])", text)]:
        for name in more:
            text = re.sub(rf"(?<![\w:]){name}(?![\w:])", known[name], text)
    return set(re.findall(r"choreographed_saga_\w+", text))
