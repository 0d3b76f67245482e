"""What operators type, typed where the containers are: their commands run in one more container of the coordinator."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.deploy.played import Containers
from tests.needs import ROOT

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    "words",
    [
        ["doctor"],
        ["streams"],
        ["sagas", "--limit", "5"],
        ["audit"],
        ["trail"],
        ["dead-letters", "list"],
        ["retry", "--reason", "the provider is back", "--as", "ann", "--yes"],
        ["init", "shop"],
    ],
    ids=" ".join,
)
def test_what_operators_type_works_beside_the_containers(containers: Containers, words: list[str]) -> None:
    """They are told by the compose file alone where everything is, and write no files."""
    environment = containers.environment("choreographed-saga-coordinator")

    done = subprocess.run(
        [sys.executable, "-m", "sagastream.cli", *words],
        cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
