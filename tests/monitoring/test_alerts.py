"""The shipped rules and what to do about them, held to by Prometheus' own checker and by a running shop."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from prometheus.rules import rules
from sagastream.cli.words import parser
from sagastream.project import read_project
from tests.monitoring.conftest import SHIPPED, Watched
from tests.monitoring.dashboard import ROOT
from tests.needs import program

RUNBOOK = SHIPPED / "RUNBOOK.md"
PASTED_FIRST, *COMMANDS = re.findall(r"^```sh\n(.*?)^```$", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
RULES = (SHIPPED / "alerts.yml").read_text()
SERIES = sorted(set(re.findall(r"choreographed_saga_\w+", RULES)))
CASES = ["alerts.test.yml", "hours.test.yml"]
CHANGES = [
    ("> 300", "> 330"),
    ("> 0.10", "> 0.12"),
    ("> 0.05", "> 0.06"),
    ("> 60", "> 90"),
    ("> 1800", "> 1900"),
    ("max(choreographed_saga_parked_events)", "choreographed_saga_parked_events"),
    ("max(choreographed_saga_parked_events) > 0", "max(choreographed_saga_parked_events) > 3"),
    ("and max(choreographed_saga_audit_timestamp_seconds) > 0", ""),
    ("min(choreographed", "max(choreographed"),
    ("> 0.072", "> 0.08"),
    ("> 0.03", "> 0.05"),
    ("> 0.0144", "> 0.02"),
    ("> 0.006", "> 0.01"),
    ("> 0.72", "> 0.8"),
    ("> 0.3 and", "> 0.6 and"),
    (" and process:sagas_not_completed:ratio_5m > 0.072", ""),
    (" and requests:failed:ratio_30m > 0.006", ""),
    (" and requests:slow:ratio_30m > 0.3", ""),
    ('route=~"/api/.*"', 'route=~".*"'),
    ("max(", "sum("),
    ("max by", "sum by"),
    ("max by (service)", "min by (service)"),
    ("requests:slow:ratio_5m > 0.5\n", "requests:slow:ratio_5m > 0.4\n"),
    (" unless on (service) choreographed_saga_retries_total", ""),
    ("- min by", "- max by"),
    ("refused|gave up", "refused"),
    (" + step:timeouts:15m", ""),
    *((name, f"{name}_renamed") for name in SERIES),
]


@pytest.mark.parametrize(
    "words",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", *CASES)],
    ids=" ".join,
)
def test_the_checker_is_content(words: tuple[str, ...], promtool: Path) -> None:
    result = subprocess.run([promtool, *words], cwd=SHIPPED, capture_output=True, text=True, timeout=30)

    assert result.returncode == 0, result.stdout + result.stderr


def test_a_rule_that_is_changed_fails_its_cases(promtool: Path, tmp_path: Path) -> None:
    # The objectives have their cases in the other file, and looking at hours twice a minute takes long.
    beginning = RULES.partition("  - name: shares")[0]
    for at, change in enumerate(CHANGES):
        for case, text in zip(CASES, (beginning, RULES), strict=True):
            (tmp_path / str(at) / case).mkdir(parents=True)
            (tmp_path / str(at) / case / "alerts.yml").write_text(text.replace(*change))
            shutil.copy(SHIPPED / case, tmp_path / str(at) / case)
    cases = [f"{at}/{case}/{case}" for at, change in enumerate(CHANGES) for case in CASES
             if change[0] in beginning or case != CASES[0]]  # fmt: skip

    checker = [promtool, "test", "rules", *cases]
    told = subprocess.run(
        checker, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    ).stdout

    survivors = [
        change for at, change in enumerate(CHANGES) if not any(_failed(f"{at}/{case}/{case}", told) for case in CASES)
    ]
    assert survivors == []
    assert [what for what, _ in CHANGES if what not in RULES] == []


def test_the_shipped_rules_are_those_of_a_minute_of_sixty_seconds() -> None:
    assert rules() == RULES, "run: make alerts"


def test_in_a_shorter_minute_every_duration_shrinks_and_nothing_else() -> None:
    """So what is tried with a minute of one second is what is shipped."""
    durations = re.compile(r"\[(\d+)([smh])\]|for: (\d+)([smh])$", re.MULTILINE)
    seconds = [(int(n or m) * {"s": 1, "m": 60, "h": 3600}[u or v]) for n, u, m, v in durations.findall(RULES)]
    fast = rules(timedelta(seconds=1))

    shrunk = [int(n or m) for n, m in re.findall(r"\[(\d+)ms\]|for: (\d+)ms$", fast, re.MULTILINE)]

    assert shrunk == [round(each * 1000 / 60) for each in seconds]
    assert len(seconds) > 20
    bounds = re.compile(r"(?<=seconds\) > )\d+")
    assert [float(each) / 60 for each in bounds.findall(RULES)] == [float(each) for each in bounds.findall(fast)]
    same = re.compile(r"\[\d+\w+\]|for: \d+\w+|(?<=seconds\) > )\d+")
    assert same.sub("", RULES) == same.sub("", fast)


def test_every_alert_has_a_case_and_a_section_in_the_runbook() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES)
    runbooks = [ROOT / path for path in re.findall(r"runbook: (\S+)#", RULES)]

    assert len(dict.fromkeys(alerts)) == 19
    assert runbooks == [RUNBOOK] * len(alerts)
    assert re.findall(r"runbook: \S+#(\w+)", RULES) == [alert.lower() for alert in alerts]
    assert re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == list(dict.fromkeys(alerts))
    assert {name for case in CASES for name in re.findall(r"alertname: (\w+)", (SHIPPED / case).read_text())} == set(
        alerts
    )


def test_every_alert_says_what_it_is_to_customers() -> None:
    """Who is woken must know whether to get up: who is hurt, and whether money or stock is at risk."""
    told = re.findall(r"- alert: (\w+)\n(?:.*\n)*?          impact: (.+)\n", RULES)

    assert [name for name, _ in told] == re.findall(r"- alert: (\w+)", RULES)
    assert all(re.search("[Cc]ustomer|[Ss]aga|[Mm]oney", impact) for _, impact in told)


def test_the_front_of_the_containers_names_services_as_they_name_themselves() -> None:
    """Else each would be told as one that answers and has no figures."""
    compose = (ROOT / "docker-compose.microservices.yml").read_text()

    assert set(re.findall(r"--upstream=([\w-]+)=", compose)) == set(read_project(ROOT).services)


@pytest.mark.processes
def test_every_section_names_a_command_and_what_is_said_to_ours_may_be_said() -> None:
    """Also where a command is only shown, for it needs a saga or a letter that is not here."""
    sections = re.split(r"^## \w+$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    blocks = [re.findall(r"^```(?:sh|text)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL) for section in sections]
    ours = [line for found in blocks for block in found for line in block.splitlines() if line.startswith("sagastream")]

    assert all(blocks)
    assert len(ours) >= 8
    for line in ours:
        parser().parse_args(shlex.split(line.replace("LETTER", "1-0"))[1:])


@pytest.mark.parametrize("commands", COMMANDS, ids=range(len(COMMANDS)))
def test_the_commands_of_the_runbook_run(commands: str, watched: Watched) -> None:
    surroundings = {"PATH": "/usr/local/bin:/usr/bin:/bin", "SHOP": str(watched.shop.base_url)}
    for needed in ("curl", "jq"):
        program(needed)
    bash = [str(program("bash")), "-euo", "pipefail", "-c", PASTED_FIRST + commands]

    result = subprocess.run(bash, env=surroundings, capture_output=True, text=True, timeout=30)

    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert '"status":404' not in result.stdout


def _failed(case: str, told: str) -> bool:
    """Tell whether the checker said of a file that its cases fail."""
    return re.search(rf"^Unit Testing:  {case}\n\s+FAILED:", told, re.MULTILINE) is not None
