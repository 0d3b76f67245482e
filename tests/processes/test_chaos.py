"""The storm as a person runs it. A whole one is a step of its own in `.ci/run`: it takes more than a minute."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.summary import Code
from tests.processes.child import ROOT, environment, left_behind

pytestmark = pytest.mark.processes


def test_ctrl_c_ends_a_storm_with_everything_that_it_started(tmp_path: Path) -> None:
    """It is ended in the middle of its faults: frozen processes and a server that is down are ended, too."""
    command = [sys.executable, "-m", "tests.chaos", "--sagas", "500", "--seed", "5", "--rate", "10"]
    told = {name: value for name, value in environment(tmp_path).items() if name != "DATA_DIR"}
    told |= {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    storm = subprocess.Popen(
        command, cwd=ROOT, env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert storm.stdout is not None
        for _ in range(3):
            line = storm.stdout.readline()
            assert line.startswith("+"), storm.stderr and storm.stderr.read()
        os.kill(storm.pid, signal.SIGINT)
        _, complaints = storm.communicate(timeout=60)
    finally:
        storm.kill()
        storm.communicate()

    assert storm.returncode == Code.INTERRUPTED, complaints
    assert left_behind(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
