"""A real shop that had real work, watched by a real Prometheus with the shipped configuration."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sagastream.ports import free_port
from tests.monitoring import dashboard
from tests.monitoring.copies import Copies, copies
from tests.monitoring.dashboard import ROOT
from tests.monitoring.prometheus_server import Prometheus, prometheus, until
from tests.monitoring.shop import leave_one, shop, statistics, work
from tests.needs import program

SHIPPED = ROOT / "prometheus"
_CONTAINERS = re.compile(r"dns_sd_configs: \[\{names: \[([\w-]+)\], type: A, port: \d+, refresh_interval: 10s\}\]")
_PACE = re.compile(r"(scrape_interval|scrape_timeout|evaluation_interval): \d+s")
_COORDINATOR = "choreographed-saga-coordinator"
_FRONT = "front"


@dataclass(frozen=True)
class Watched:
    """A shop after its work: what Prometheus knows, and what the shop exported ``before`` and ``after`` it.

    ``saga_id`` is a saga that has not ended.
    """

    prometheus: Prometheus
    shop: httpx.Client
    before: str
    after: str
    saga_id: str


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The program that checks configurations and rules."""
    return program("promtool", "prometheus")


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    """Copies with one family renamed each, of those the dashboard uses; scraped once they have texts."""
    program("prometheus")
    with copies(dashboard.families(), tmp_path_factory.mktemp("copies")) as served:
        yield served


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory, copied: Copies) -> Iterator[Watched]:
    """Watch orders that complete, fall short, are declined, are cancelled, and one that has not ended.

    The copies are not needed here; but a Prometheus scrapes nothing for its first five seconds, so all start at once.
    """
    port = free_port()
    config = watching(tmp_path_factory.mktemp("prometheus"), port)
    with prometheus(config) as server, shop(tmp_path_factory.mktemp("shop"), port) as client:
        before = client.get("/metrics").raise_for_status().text
        until(lambda: _scraped_since(server, 0), "the start is scraped")
        work(client)
        # A series that begins with an event has no rate until it grows.
        first = time.time()
        until(lambda: _scraped_since(server, first), "the first events are scraped")
        work(client)
        saga_id = leave_one(client)
        after, last = client.get("/metrics").raise_for_status().text, time.time()
        seen = until(lambda: _all_is_scraped(server, client, last), "the last events are scraped")
        yield Watched(seen, client, before, after, saga_id)


def watching(directory: Path, port: int, rules: Mapping[str, str] | None = None) -> Path:
    """Return the shipped configuration, faster, with the parts of one process in place of the containers.

    The coordinator is scraped under two names, as if there were two of them. ``rules`` are files of rules to be used
    instead of the shipped ones.
    """

    def parts(match: re.Match[str]) -> str:
        container = match[1]
        targets = f"127.0.0.1:{port}, localhost:{port}" if container == _COORDINATOR else f"127.0.0.1:{port}"
        service = "coordinator" if container == _COORDINATOR else container
        path = "/metrics" if container == _FRONT else f"/services/{service}/metrics"
        return f"metrics_path: {path}\n    static_configs: [{{targets: [{targets}]}}]"

    text, replaced = _CONTAINERS.subn(parts, (SHIPPED / "prometheus.yml").read_text())
    assert replaced == 6, "the shipped configuration names five services and the front"
    files = rules or {"alerts.yml": (SHIPPED / "alerts.yml").read_text()}
    for name, content in files.items():
        (directory / name).write_text(content)
    config = directory / "prometheus.yml"
    text = text.replace("rule_files: [alerts.yml]", f"rule_files: [{', '.join(files)}]")
    config.write_text(_PACE.sub(r"\1: 1s", text))
    return config


def _scraped_since(server: Prometheus, instant: float) -> bool:
    """Tell whether the latest scrape of each of the seven targets began after an instant."""
    return server.value("sum(up)") == 7 and server.value("min(timestamp(up))") > instant


def _all_is_scraped(server: Prometheus, client: httpx.Client, last: float) -> Prometheus | None:
    """Return the server as of when what the shop counts had been scraped after an instant, None if it has not."""
    told, seen = statistics(client), server.settled()
    if not _scraped_since(seen, last):
        return None
    expected = {
        "min(choreographed_saga_started_total)": told["started"],
        "min(choreographed_saga_duration_seconds_count)": told["ended"],
        "min(sum by (instance) (choreographed_saga_active))": told["active"],
    }
    return seen if all(seen.value(text) == value for text, value in expected.items()) else None
