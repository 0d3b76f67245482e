"""The dashboard and what provisions it, as files: complete, and of the shape Grafana reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from sagastream import series
from sagastream.series import PREFIX, Series
from tests.monitoring import dashboard
from tests.monitoring.conftest import SHIPPED
from tests.monitoring.dashboard import BOARDS, DASHBOARDS, EXPORTED, OTHERS, PANELS, ROOT

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
PROVISIONING = ROOT / "grafana" / "provisioning"
COMPOSE = (ROOT / "docker-compose.microservices.yml").read_text()
UNITS = {"short", "s", "percentunit", "cps"}


def test_the_dashboard_has_the_eight_panels_and_all_their_queries() -> None:
    shown = dashboard.load()

    assert (shown["title"], shown["schemaVersion"], len(PANELS)) == ("Choreographed Saga Monitoring", 42, 8)
    assert dashboard.gaps(shown) == []


def test_there_are_four_more_each_with_its_panels_and_all_their_queries() -> None:
    """Business, technical, infrastructure, SLO; what is provisioned is what is tested."""
    for name in OTHERS:
        shown = dashboard.load(name)
        assert (shown["uid"], shown["schemaVersion"], dashboard.gaps(shown)) == (name, 42, [])
    titles = {str(dashboard.load(name)["title"]) for name in OTHERS}

    assert titles == {"Saga Business", "Saga Technical", "Saga Infrastructure", "Saga SLO"}
    assert {path.stem for path in DASHBOARDS.iterdir()} == set(BOARDS)


@pytest.mark.parametrize("query", dashboard.queries(dashboard.load()), ids=str)
def test_a_query_that_is_dropped_is_missed(query: dashboard.Query) -> None:
    shown = dashboard.load()
    (panel,) = [raw for raw in panels(shown) if raw["title"] == query.panel]
    panel["targets"] = [target for target in panel["targets"] if target["legendFormat"] != query.legend]

    assert len(dashboard.gaps(shown)) == 1


def test_a_panel_that_is_dropped_renamed_or_added_is_missed() -> None:
    def drop(shown: list[dict[str, Any]]) -> None:
        del shown[3]

    def rename(shown: list[dict[str, Any]]) -> None:
        shown[3]["title"] = "Events"

    def add(shown: list[dict[str, Any]]) -> None:
        shown.append({**shown[3], "title": "More events"})

    changes: list[Callable[[list[dict[str, Any]]], None]] = [drop, rename, add]
    for change in changes:
        shown = dashboard.load()
        change(panels(shown))
        assert dashboard.gaps(shown)


@pytest.mark.parametrize("query", dashboard.all_queries(), ids=str)
def test_every_series_a_panel_asks_for_is_one_we_export(query: dashboard.Query) -> None:
    assert query.names
    assert query.names <= EXPORTED.keys()


def test_every_series_a_rule_asks_for_is_one_we_export() -> None:
    rules = (SHIPPED / "alerts.yml").read_text()

    assert set(re.findall(r"choreographed_saga_\w+", rules)) <= EXPORTED.keys()


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows_in_which_unit_from_the_chosen_source(name: str) -> None:
    for panel in panels(dashboard.load(name)):
        assert len(panel["description"]) > 40, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["datasource"] == SOURCE, panel["title"]
        assert all(target["datasource"] == SOURCE for target in panel["targets"]), panel["title"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGHI"[: len(panel["targets"])])


@pytest.mark.parametrize("name", BOARDS)
def test_a_panel_without_figures_does_not_say_that_there_is_nothing(name: str) -> None:
    """Where the coordinator or the front is gone nothing is known of this moment; "none yet" would be a comfort."""
    for panel in dashboard.panels(dashboard.load(name)):
        of_now = [query for query in panel.queries if not query.is_range and "[" not in query.text]
        shown = panel.raw["fieldConfig"]
        assert isinstance(shown, dict)
        if of_now and panel.kind in ("stat", "bargauge"):
            assert shown["defaults"]["noValue"] == "no figures", panel.title


@pytest.mark.parametrize("name", BOARDS)
def test_the_panels_lie_side_by_side(name: str) -> None:
    shown = panels(dashboard.load(name))

    cells = [cell for panel in shown for cell in _cells(**panel["gridPos"])]

    assert len({panel["id"] for panel in shown}) == len(shown)
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} == set(range(24))


@pytest.mark.parametrize("name", BOARDS)
def test_the_source_is_a_variable_and_every_variable_is_declared(name: str) -> None:
    shown = dashboard.load(name)
    templating = shown["templating"]
    assert isinstance(templating, dict)
    kinds = {variable["name"]: variable["type"] for variable in templating["list"]}

    used = {name for name in re.findall(r"\$\{?(\w+)", json.dumps(shown)) if not name.startswith("__")}

    assert kinds["datasource"] == "datasource"
    assert used == kinds.keys()


def test_no_figure_of_sagas_is_added_up_over_instances() -> None:
    """Only what a process counted by itself may be; that two coordinators change nothing is tried elsewhere."""
    added = re.compile(r"(?:sum|avg|count)(?: by \([\w, ]*\))? ?\((?:rate\(|increase\()?(choreographed_saga_\w+)")

    found = {EXPORTED[name] for query in dashboard.all_queries() for name in added.findall(query.text)}
    each_process = {
        PREFIX + one.name for one in vars(series).values() if isinstance(one, Series) and "service" in one.labels
    }

    assert "choreographed_saga_events_total" in found
    assert found <= each_process


@pytest.mark.parametrize("name", BOARDS)
def test_the_file_is_formatted_as_grafana_exports_it(name: str) -> None:
    text = (DASHBOARDS / f"{name}.json").read_text()

    assert text == json.dumps(json.loads(text), indent=2) + "\n"


def test_the_provisioned_source_is_the_prometheus_of_the_containers() -> None:
    """Panels reckon `$__rate_interval` from the scrape interval, so both files must say the same."""
    source = (PROVISIONING / "datasources" / "prometheus.yml").read_text()
    scraping = (SHIPPED / "prometheus.yml").read_text()

    assert value("url", source) == "http://prometheus:9090"
    assert re.search(r"^  prometheus:$", COMPOSE, re.MULTILINE)
    assert value("timeInterval", source) == value("scrape_interval", scraping)


def test_the_dashboards_are_provisioned_where_the_containers_mount_them() -> None:
    path = value("path", (PROVISIONING / "dashboards" / "dashboards.yml").read_text())

    assert f"./grafana/dashboards:{path}:ro" in COMPOSE
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in COMPOSE
    assert "./prometheus:/etc/prometheus:ro" in COMPOSE


def test_every_container_that_is_scraped_listens_there() -> None:
    scraped = re.findall(r"names: \[([\w-]+)\], type: A, port: (\d+)", (SHIPPED / "prometheus.yml").read_text())

    listening = re.findall(r'^  ([\w-]+):\n    <<: \*shop\n    command: \[.*"--port", "(\d+)"\]', COMPOSE, re.MULTILINE)

    assert len(scraped) == 6
    assert set(scraped) == {*listening, ("front", "8080")} - {("payment-provider", "8006")}
    assert re.search(r"^      - front\n      - --port=8080$", COMPOSE, re.MULTILINE)


def panels(shown: dict[str, object]) -> list[dict[str, Any]]:
    """Return the panels as they stand there."""
    found = shown["panels"]
    assert isinstance(found, list)
    return found


def value(key: str, text: str) -> str:
    """Return the value of a key that stands once in a YAML file."""
    (found,) = re.findall(rf"^ *{key}: (\S+)", text, re.MULTILINE)
    return str(found)


def _cells(x: int, y: int, w: int, h: int) -> list[tuple[int, int]]:
    return [(x + dx, y + dy) for dx in range(w) for dy in range(h)]
