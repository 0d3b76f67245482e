"""Debian's Prometheus on a free port of loopback, for as long as a test needs it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx

from sagastream.ports import free_port
from tests.deploy.processes import running, wait_until
from tests.needs import program

T = TypeVar("T")
SCRAPE_TIMEOUT_S = 1.0
"""The longest that the tests' servers wait for a scrape."""
Sample = tuple[Mapping[str, str], float]


def until(ask: Callable[[], T | None], what: str, within_s: float = 30.0) -> T:
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + within_s
    while not (answer := ask()):
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)
    return answer


@dataclass(frozen=True)
class Prometheus:
    """A server that scrapes, asked through its own API: as of now, or as of the instant ``at`` (epoch seconds)."""

    client: httpx.Client
    at: float | None = None

    def settled(self) -> Prometheus:
        """Return the same server, as of an instant no scrape is older than: it always answers the same.

        A scrape under way that fails counts from when it began.
        """
        return replace(self, at=time.time() - SCRAPE_TIMEOUT_S)

    def ask(self, text: str) -> list[Sample]:
        """Return what a query gives."""
        found = self._get("query", query=text, time=self._at())["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def ask_range(self, text: str) -> list[Sample]:
        """Return all points a query gives for each of the last 30 seconds."""
        found = self._get("query_range", query=text, start=self._at() - 30, end=self._at(), step=1)["result"]
        return [(each["metric"], float(value)) for each in found for _, value in each["values"]]

    def value(self, text: str) -> float:
        """Return the one number a query gives, NaN if it gives none."""
        found = self.ask(text)
        assert len(found) <= 1, found
        return found[0][1] if found else math.nan

    def rules(self) -> list[tuple[str, str]]:
        """Return the name and the query of every rule."""
        groups = self._get("rules")["groups"]
        return [(rule["name"], rule["query"]) for group in groups for rule in group["rules"]]

    def evaluated_since(self, instant: float) -> bool:
        """Tell whether the latest evaluation of every rule began after an instant."""
        groups = self._get("rules")["groups"]
        return all(datetime.fromisoformat(group["lastEvaluation"]).timestamp() > instant for group in groups)

    def firing(self, at_any_time: bool = False) -> set[tuple[str, str]]:
        """Return the alerts that fire, or ever did, each with the window it looks at."""
        text = 'ALERTS{alertstate="firing"}'
        found = self.ask(f"max_over_time({text}[1h])" if at_any_time else text)
        return {(labels["alertname"], labels.get("window", "")) for labels, _ in found}

    def alerting_rules(self) -> dict[str, dict[str, str]]:
        """Return what is known of each alerting rule: its state, its health, its annotations."""
        groups = self._get("rules", type="alert")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return {rule["name"]: {**rule["annotations"], **_texts(rule)} for rule in rules}

    def _at(self) -> float:
        return self.at if self.at is not None else time.time()

    def _get(self, path: str, **parameters: str | float) -> dict[str, Any]:
        answer = self.client.get(f"/api/v1/{path}", params=parameters)
        assert answer.is_success, answer.text
        return dict(answer.json()["data"])


@contextmanager
def prometheus(config: Path) -> Iterator[Prometheus]:
    """Run a server with a configuration around the block; what it stores and says goes beside that file."""
    port, log = free_port(), config.parent / "prometheus.log"
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={config.parent / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    base_url = f"http://127.0.0.1:{port}"
    with (
        running(command, os.environ, log) as process,
        httpx.Client(base_url=base_url, timeout=10, trust_env=False) as client,
    ):

        def is_ready() -> bool:
            try:
                return client.get("/-/ready").is_success
            except httpx.TransportError:
                return False

        wait_until(is_ready, "Prometheus is ready", process, log)
        yield Prometheus(client)


def _texts(rule: Mapping[str, object]) -> dict[str, str]:
    return {name: str(rule[name]) for name in ("state", "health") if name in rule}
