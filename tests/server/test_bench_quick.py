"""The quick bench runs, ends by itself, and says on what it was measured."""

import csv
from pathlib import Path

import pytest

from bench import quick
from bench.meter import Ended
from bench.runs import Case
from sagastream.saga.lifecycle import Status

pytestmark = [pytest.mark.server, pytest.mark.processes]


def test_every_saga_of_a_short_run_ends_as_it_must_in_both_arrangements(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one process, and in one per worker: the bench says so by its exit code."""
    rows = tmp_path / "rows.csv"

    code = quick.main(["--sagas", "50", "--appendfsync", "no", "--path", "half-undone", "undone", "--csv", str(rows)])

    assert code == 0, capsys.readouterr().err
    assert "sagas/s" in capsys.readouterr().out
    with rows.open() as file:
        found = list(csv.DictReader(file))
    assert [(row["workers"], row["path"], row["sagas"]) for row in found] == [
        ("limit", "half-undone", "50"),
        ("one", "half-undone", "50"),
        ("procs", "half-undone", "50"),
        ("limit", "undone", "50"),
        ("one", "undone", "50"),
        ("procs", "undone", "50"),
    ]
    assert all(row[name] for row in found for name in ("date", "python", "redis_py", "server", "cpu"))
    assert all(float(row["server_us_per_saga"]) > 0 < float(row["python_us_per_saga"]) for row in found)
    assert float(found[0]["of_limit"]) == 1


def test_a_run_whose_sagas_did_not_end_as_they_must_is_not_taken_for_sound() -> None:
    """A figure of sagas that hang, or end otherwise, is no figure."""
    case = Case("one", "half-undone", "no", 50)

    assert case.is_true(Ended(1.0, {Status.COMPLETED: 25, Status.COMPENSATED: 25}))
    assert not case.is_true(Ended(1.0, {Status.COMPLETED: 25, Status.COMPENSATED: 24}))
    assert not case.is_true(Ended(1.0, {Status.COMPLETED: 25, Status.FAILED: 25}))
