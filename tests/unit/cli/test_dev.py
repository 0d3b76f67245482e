"""What `sagastream dev` says of a project before it runs it. Each is said and over, for the port is taken."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TRIPS = """\
from tests.trip import TRIP, bank, desk, hotel
hotel.undos.clear()
"""


def dev(folder: Path, table: str, *words: str) -> tuple[int, str]:
    """Run the command in a folder with this project; return its exit code and what it said on standard error."""
    (folder / "pyproject.toml").write_text(table)
    (folder / "trips.py").write_text(TRIPS)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        known = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": str(taken.getsockname()[1])}
        ended = subprocess.run(
            [sys.executable, "-m", "sagastream.cli", "dev", *words],
            cwd=folder, env=known, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("words", [[], ["--procs"]])
def test_a_project_without_services_is_not_run(words: list[str], tmp_path: Path) -> None:
    """It would be ready, and nobody would be at work."""
    code, said = dev(tmp_path, '[tool.sagastream]\nsagas = ["trips:TRIP"]\n', *words)

    assert code == 1
    assert said.strip() == (
        f"sagastream: {tmp_path / 'pyproject.toml'}: [tool.sagastream] names no services to run;"
        ' add services = ["module:create_service"]'
    )


@pytest.mark.parametrize("words", [[], ["--procs"]])
def test_what_does_not_fit_is_told_at_the_start(words: list[str], tmp_path: Path) -> None:
    """Else it would show when the first saga is to be turned back."""
    cast = '[tool.sagastream]\nservices = ["trips:serve"]\nsagas = ["trips:TRIP"]\n'
    cast += 'participants = ["trips:desk", "trips:hotel", "trips:bank"]\n'

    code, said = dev(tmp_path, cast, *words)

    assert code == 1
    assert "nobody undoes 'hold room': 'hotel' has no @undo for RoomHeld" in said
    assert "Traceback" not in said
