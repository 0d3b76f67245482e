"""The shipped dashboards, read as Grafana reads them: panels, and their queries with every variable filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sagastream import series
from sagastream.series import PREFIX, Series

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "grafana" / "dashboards"
FIRST = "choreographed-saga-monitoring"
VARIABLES = {"$process": ".+", "$__range": "10m", "$__rate_interval": "1m"}

# CONTRACT A: the panels, what draws them, and what must be asked in each, by legend.
PANELS = {
    "Saga overview statistics": (
        "stat",
        [
            "Started",
            "Completed",
            "Compensated",
            "Failed",
            "Aborted",
            "Unfinished",
            "Need attention",
            "Oldest unfinished",
            "Average duration",
        ],
    ),
    "Success rate": ("gauge", ["Success rate"]),
    "Duration distribution": ("heatmap", ["{{le}}"]),
    "Events over time": ("timeseries", ["{{type}}"]),
    "Compensation rate": ("timeseries", ["{{business_process}}"]),
    "Active sagas": ("timeseries", ["{{status}}"]),
    "Status distribution": ("piechart", ["Completed", "Compensated", "Failed", "Aborted", "{{status}}"]),
    "Step completion": ("bargauge", ["{{business_process}}: {{step}}"]),
}

# What is shown besides, by dashboard.
OTHERS = {
    "saga-business": {
        "Ended in this range": ("stat", ["Begun", "Completed", "Compensated", "Failed", "Not ended yet"]),
        "Begun per second": ("timeseries", ["{{business_process}}"]),
        "Ends per second": ("timeseries", ["Completed", "Compensated", "Failed"]),
        "Time to the end": ("timeseries", ["half", "19 of 20"]),
        "Refusals by step": ("bargauge", ["{{business_process}}: {{step}}"]),
    },
    "saga-technical": {
        "Trouble in this range": (
            "stat",
            ["Open dead letters", "Undoes given up", "Deadlines passed", "Late events", "Audit differences"],
        ),
        "Time of handlers": ("timeseries", ["{{service}}: {{type}}"]),
        "Time of steps": ("timeseries", ["{{step}}"]),
        "Done again": ("timeseries", ["retries", "duplicates", "conflicts", "put away"]),
        "Outcomes of steps": ("bargauge", ["{{status}}"]),
        "Audited": ("timeseries", ["sagas"]),
    },
    "saga-infrastructure": {
        "Services that answer": ("stat", ["{{service}}"]),
        "Unread entries": ("timeseries", ["{{group}}"]),
        "Entries in hand": ("timeseries", ["{{group}}"]),
        "Oldest entry in hand": ("timeseries", ["{{group}}"]),
        "Lateness of deadlines and audit": ("timeseries", ["deadlines", "audit"]),
        "Entries lost": ("stat", ["{{service}}"]),
        "Requests per second": ("timeseries", ["{{service}}"]),
    },
    "saga-slo": {
        "Kept in this range": ("stat", ["Completed (99.5 %)", "Answered (99.9 %)", "Fast (95 %)"]),
        "Budget spent in this range": ("stat", ["Completed", "Answered", "Fast"]),
        "Failed requests": ("timeseries", ["failed"]),
        "Time to the answer": ("timeseries", ["19 of 20", "half"]),
        "Sagas not completed": ("timeseries", ["{{business_process}}"]),
        "Requests by route": ("bargauge", ["{{method}} {{route}}"]),
    },
}
BOARDS = {FIRST: PANELS, **OTHERS}

_NAME = re.compile(rf"\b{PREFIX}\w+")
_PARTS = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
EXPORTED = {
    PREFIX + one.name + part: PREFIX + one.name
    for one in vars(series).values()
    if isinstance(one, Series)
    for part in _PARTS[one.kind]
}
"""Every name a query may use, and the family it is part of."""


@dataclass(frozen=True)
class Query:
    """One question of a panel, ready to be asked."""

    panel: str
    legend: str
    text: str
    is_range: bool

    def __str__(self) -> str:
        return f"{self.panel} / {self.legend}"

    @property
    def names(self) -> set[str]:
        """Return the names of series it uses."""
        return set(_NAME.findall(self.text))

    @property
    def families(self) -> set[str]:
        """Return the families it uses."""
        return {EXPORTED.get(name, name) for name in self.names}

    def only_of(self, label: str, value: str) -> Query:
        """Return it asked of those series only that carry one more label."""

        def narrowed(match: re.Match[str]) -> str:
            return f'{match[1]}{{{label}="{value}"' + ("," if match[2] else "}")

        return replace(self, text=re.sub(rf"({_NAME.pattern})(\{{)?", narrowed, self.text))


@dataclass(frozen=True)
class Panel:
    """One panel; ``raw`` is all of it."""

    title: str
    kind: str
    raw: dict[str, object]
    queries: list[Query] = field(default_factory=list)


def load(name: str = FIRST) -> dict[str, object]:
    """Return a dashboard as it is shipped."""
    return dict(json.loads((DASHBOARDS / f"{name}.json").read_text()))


def panels(dashboard: dict[str, object]) -> Iterator[Panel]:
    """Yield its panels."""
    shown = dashboard["panels"]
    assert isinstance(shown, list)
    for raw in shown:
        queries = [_query(raw["title"], target) for target in raw["targets"]]
        yield Panel(raw["title"], raw["type"], raw, queries)


def queries(dashboard: dict[str, object]) -> list[Query]:
    """Return every query of every panel."""
    return [query for panel in panels(dashboard) for query in panel.queries]


def all_queries() -> list[Query]:
    """Return every query of every panel of every dashboard."""
    return [query for name in BOARDS for query in queries(load(name))]


def families() -> list[str]:
    """Return the families the shipped dashboards use."""
    return sorted({family for query in all_queries() for family in query.families})


def gaps(dashboard: dict[str, object]) -> list[str]:
    """Return in words where it is not what is promised: panels, their kinds and what each asks."""
    shown = {panel.title: (panel.kind, [query.legend for query in panel.queries]) for panel in panels(dashboard)}
    wanted = BOARDS[str(dashboard["uid"])]
    return [
        f"{title}: {shown.get(title)} instead of {wanted.get(title)}"
        for title in {**wanted, **shown}
        if shown.get(title) != wanted.get(title)
    ]


def _query(panel: str, target: dict[str, object]) -> Query:
    text = str(target["expr"])
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    assert "$" not in text, f"{panel}: a variable nobody fills in: {text}"
    assert target["instant"] is not target["range"], f"{panel}: one of instant and range"
    return Query(panel, str(target["legendFormat"]), text, target["range"] is True)
