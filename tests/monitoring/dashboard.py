"""The shipped dashboard, read as Grafana reads it: its panels, and their queries with every variable filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sagastream import series
from sagastream.series import PREFIX, Series

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "grafana" / "dashboards" / "choreographed-saga-monitoring.json"
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


def load() -> dict[str, object]:
    """Return the dashboard as it is shipped."""
    return dict(json.loads(DASHBOARD.read_text()))


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


def families() -> list[str]:
    """Return the families the shipped dashboard uses."""
    return sorted({family for query in queries(load()) for family in query.families})


def gaps(dashboard: dict[str, object]) -> list[str]:
    """Return in words where it is not what the contract says: panels, their kinds and what each asks."""
    shown = {panel.title: (panel.kind, [query.legend for query in panel.queries]) for panel in panels(dashboard)}
    return [
        f"{title}: {shown.get(title)} instead of {PANELS.get(title)}"
        for title in {**PANELS, **shown}
        if shown.get(title) != PANELS.get(title)
    ]


def _query(panel: str, target: dict[str, object]) -> Query:
    text = str(target["expr"])
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    assert "$" not in text, f"{panel}: a variable nobody fills in: {text}"
    assert target["instant"] is not target["range"], f"{panel}: one of instant and range"
    return Query(panel, str(target["legendFormat"]), text, target["range"] is True)
