"""The shipped rules and what to do about them, held to by Prometheus' own checker and by a running shop."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.monitoring.conftest import SHIPPED, Watched
from tests.monitoring.dashboard import ROOT
from tests.monitoring.prometheus_server import program

RUNBOOK = SHIPPED / "RUNBOOK.md"
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
RULES = (SHIPPED / "alerts.yml").read_text()
SERIES = sorted(set(re.findall(r"choreographed_saga_\w+", RULES)))
CHANGES = [
    ("> 300", "> 330"),
    ("> 0.10", "> 0.12"),
    ("> 0.05", "> 0.06"),
    ("max(", "sum("),
    ("max by", "sum by"),
    ("- min by", "- max by"),
    ("refused|gave up", "refused"),
    (" + step:timeouts:15m", ""),
    *((name, f"{name}_renamed") for name in SERIES),
]


@pytest.mark.parametrize(
    "words",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")],
    ids=" ".join,
)
def test_the_checker_is_content(words: tuple[str, ...], promtool: str) -> None:
    result = subprocess.run([promtool, *words], cwd=SHIPPED, capture_output=True, text=True, timeout=30)

    assert result.returncode == 0, result.stdout + result.stderr


def test_a_rule_that_is_changed_fails_its_cases(promtool: str, tmp_path: Path) -> None:
    for at, change in enumerate(CHANGES):
        (tmp_path / str(at)).mkdir()
        (tmp_path / str(at) / "alerts.yml").write_text(RULES.replace(*change))
        shutil.copy(SHIPPED / "alerts.test.yml", tmp_path / str(at))
    cases = [f"{at}/alerts.test.yml" for at in range(len(CHANGES))]

    checker = [promtool, "test", "rules", *cases]
    told = subprocess.run(
        checker, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    ).stdout

    survivors = [change for change, case in zip(CHANGES, cases, strict=True) if not _failed(case, told)]
    assert survivors == []
    assert [what for what, _ in CHANGES if what not in RULES] == []


def test_every_alert_has_a_case_and_a_section_in_the_runbook() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES)
    runbooks = [ROOT / path for path in re.findall(r"runbook: (\S+)#", RULES)]

    assert len(alerts) == 6
    assert runbooks == [RUNBOOK] * len(alerts)
    assert re.findall(r"runbook: \S+#(\w+)", RULES) == [alert.lower() for alert in alerts]
    assert re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == alerts
    assert set(re.findall(r"alertname: (\w+)", (SHIPPED / "alerts.test.yml").read_text())) == set(alerts)


@pytest.mark.processes
@pytest.mark.parametrize("commands", COMMANDS, ids=range(len(COMMANDS)))
def test_the_commands_of_the_runbook_run(commands: str, watched: Watched) -> None:
    surroundings = {"PATH": "/usr/local/bin:/usr/bin:/bin", "SHOP": str(watched.shop.base_url), "SAGA": watched.saga_id}
    program("curl", "curl")
    bash = [program("bash", "bash"), "-euo", "pipefail", "-c", commands]

    result = subprocess.run(bash, env=surroundings, capture_output=True, text=True, timeout=30)

    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert '"status":404' not in result.stdout


def test_a_missing_program_fails_in_ci_and_is_skipped_at_home() -> None:
    with pytest.raises(pytest.fail.Exception, match="apt-get install"):
        program("no-such-program", environment={"CI": "true"})
    with pytest.raises(pytest.skip.Exception, match="apt-get install"):
        program("no-such-program", environment={})


def _failed(case: str, told: str) -> bool:
    """Tell whether the checker said of a file that its cases fail."""
    return re.search(rf"^Unit Testing:  {case}\n\s+FAILED:", told, re.MULTILINE) is not None
