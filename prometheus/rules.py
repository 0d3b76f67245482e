"""The alerting rules, for a minute of any length; `alerts.yml` is what this prints for one of sixty seconds.

Tests let a minute last a second, so that each alert can be raised from a real fault. In the text below `<15m>` is a
duration in the words of Prometheus, `<<5m>>` the same in seconds; both shrink with the minute. Run from the checkout:

    python -m prometheus.rules [SECONDS_A_MINUTE] >prometheus/alerts.yml
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

SOURCE = Path(__file__).with_name("alerts.in.yml")
MINUTE = timedelta(minutes=1)
WINDOWS = ("5m", "30m", "1h", "6h")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_MARK = re.compile(r"<(<)?(\d+)([smh])>(?(1)>)")


@dataclass(frozen=True)
class Objective:
    """What is promised, and where the share that broke it within a window is recorded.

    ``budget`` is the share that may break it. ``ratio`` gives that share, with ``<WINDOW>`` for the window. ``broken``
    says of what, and how; ``impact`` what it is to customers.
    """

    alert: str
    name: str
    budget: float
    broken: str
    ratio: str
    impact: str


def _grown(name: str) -> str:
    """Return by how much a figure that every coordinator exports alike has grown, for each process."""
    of = f"choreographed_saga_{name}[<WINDOW>]"
    most, least = (f"{kind} by (business_process) ({kind}_over_time({of}))" for kind in ("max", "min"))
    return f"({most}\n              - {least})"


def _asked(name: str, **which: str) -> str:
    """Return how fast the number of requests for what is offered grows, of all services together."""
    labels = "".join(f',{label}="{value}"' for label, value in which.items())
    return f'sum(rate(choreographed_saga_{name}{{route=~"/api/.*"{labels}}}[<WINDOW>]))'


OBJECTIVES = (
    Objective(
        "SagaCompletionBudgetBurns",
        "process:sagas_not_completed:ratio",
        0.005,
        "{{ $labels.business_process }} sagas are not completed",
        f"1 - {_grown('completed_total')}\n            / ({_grown('duration_seconds_count')} > 0)",
        impact="Customers do not get what they ordered; what was charged is given back",
    ),
    Objective(
        "RequestErrorBudgetBurns",
        "requests:failed:ratio",
        0.001,
        "requests fail through a fault of ours",
        f"{_asked('requests_total', status='5xx')}\n            / ({_asked('requests_total')} > 0)",
        impact="Customers see errors and cannot order; what was accepted is not lost",
    ),
    Objective(
        "RequestLatencyBudgetBurns",
        "requests:slow:ratio",
        0.05,
        "requests wait longer than 500 ms for an answer",
        f"1 - {_asked('request_seconds_bucket', le='0.5')}\n            / ({_asked('request_seconds_count')} > 0)",
        impact="Customers wait for answers; nothing is lost",
    ),
)
"""CONTRACT E. A budget is that of thirty days."""
PACES = ((14.4, "1h", "5m", "critical", "in two days"), (6.0, "6h", "30m", "warning", "in five days"))
"""How many times too fast it is spent, over which window and still over which, how grave that is, gone when."""


def rules(minute: timedelta = MINUTE) -> str:
    """Return the file of rules in which a minute lasts so long."""
    text = SOURCE.read_text() + "".join(_objectives())

    def scaled(match: re.Match[str]) -> str:
        seconds = int(match[2]) * _SECONDS[match[3]] * (minute / MINUTE)
        if match[1]:
            return f"{seconds:g}"
        return f"{match[2]}{match[3]}" if minute == MINUTE else f"{round(seconds * 1000)}ms"

    return _MARK.sub(scaled, text)


def _objectives() -> Iterator[str]:
    yield "\n  - name: shares that break what is promised\n    rules:\n"
    for objective in OBJECTIVES:
        for window in WINDOWS:
            ratio = objective.ratio.replace("WINDOW", window)
            yield f"      - record: {objective.name}_{window}\n        expr: |\n          {ratio}\n"
    yield "\n  # Fast and slow; the short window lets the alert end soon after the fault does.\n"
    yield "  - name: budgets\n    rules:\n"
    for objective in OBJECTIVES:
        for pace, long, short, severity, gone in PACES:
            most = f"{pace * objective.budget:g}"
            promised = f"promised: at most {objective.budget * 100:g}%"
            told = f"{{{{ $value | humanizePercentage }}}} of {objective.broken} ({promised})"
            yield f"""      - alert: {objective.alert}
        expr: {objective.name}_{long} > {most} and {objective.name}_{short} > {most}
        labels: {{severity: {severity}, window: {long}}}
        annotations:
          summary: '{told}; the budget of the month is gone {gone}'
          impact: {objective.impact}
          runbook: prometheus/RUNBOOK.md#{objective.alert.lower()}
"""


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    sys.stdout.write(rules(timedelta(seconds=seconds)))
