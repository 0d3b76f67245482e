"""The table of what is offered is complete, says nothing that is not offered, and names tests that show it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.unit.reference import things
from tests.unit.reference.evidence import ROOT, evidence
from tests.unit.reference.things import Thing

REFERENCE = ROOT / "docs" / "reference" / "contract.md"
KINDS: dict[str, Callable[[], Iterator[Thing]]] = {
    "Routes": things.routes,
    "Events": things.all_events,
    "Series": things.all_series,
    "Panels": things.all_panels,
}
ALL = {section: {thing.name: thing for thing in offered()} for section, offered in KINDS.items()}
UNRELATED = "tests/unit/test_laws.py::test_there_is_one_version"
_ROW = re.compile(r"^\| `?(.+?)`? \| (.+?) \| `(\S+)` \|$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    section: str
    name: str
    purpose: str
    test: str


def rows(text: str) -> list[Row]:
    """Return every row of the tables of a document."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return [Row(section, *row) for section, table in zip(parts[::2], parts[1::2], strict=True)
            for row in _ROW.findall(table)]  # fmt: skip


def gaps(text: str) -> list[str]:
    """Return in words what is wrong with a reference."""
    found = rows(text)
    told = {section: [row.name for row in found if row.section == section] for section in ALL}
    return [
        *(f"{section}: no row for {name}" for section in ALL for name in ALL[section] if name not in told[section]),
        *(f"{section}: {name} is not offered" for section in ALL for name in told[section] if name not in ALL[section]),
        *(f"{section}: two rows for {name}" for section in ALL for name, n in Counter(told[section]).items() if n > 1),
        *(wrong for row in found if row.name in ALL[row.section] for wrong in _wrong(row)),
    ]  # fmt: skip


def _wrong(row: Row) -> Iterator[str]:
    try:
        told = evidence(row.test)
    except LookupError:
        yield f"{row.section}: {row.name}: there is no test {row.test}"
        return
    if not ALL[row.section][row.name].is_in(told):
        yield f"{row.section}: {row.test} does not speak of {row.name}"


def test_the_reference_is_complete_and_true() -> None:
    assert gaps(REFERENCE.read_text()) == []


def test_there_is_something_of_every_kind() -> None:
    """A list that is read wrongly and comes out empty must not pass for complete."""
    assert len(ALL["Panels"]) == 8 + 24
    assert {"POST /api/orders/choreographed-saga", "GET /readyz", "POST /charges", "GET /"} <= ALL["Routes"].keys()
    assert {"OrderCreated", "PaymentFailed", "SagaStarted", "StepBarred"} <= ALL["Events"].keys()
    assert "choreographed_saga_active{business_process,status}" in ALL["Series"]


@pytest.mark.parametrize("row", rows(REFERENCE.read_text()), ids=lambda row: row.name)
def test_a_row_that_is_dropped_renamed_or_points_elsewhere_is_missed(row: Row) -> None:
    text = REFERENCE.read_text()
    line = next(line for line in text.splitlines() if line.startswith((f"| `{row.name}` |", f"| {row.name} |")))

    for changed, said in (
        ("", "no row for"),
        (line.replace(row.name, f"{row.name}x"), "is not offered"),
        (line.replace(row.test, f"{row.test}_x"), "there is no test"),
        (line.replace(row.test, UNRELATED), "does not speak of"),
    ):
        assert any(said in gap and row.name in gap for gap in gaps(text.replace(line, changed, 1))), said


@pytest.mark.parametrize("section", ["Routes", "Series"])
def test_rows_that_swap_their_tests_are_missed(section: str) -> None:
    """Most tests show one thing only: a table with the tests of other rows is mostly wrong."""
    mine = [row for row in rows(REFERENCE.read_text()) if row.section == section]
    others = [*mine[len(mine) // 2 :], *mine[: len(mine) // 2]]

    wrong = [row for row, other in zip(mine, others, strict=True)
             if not ALL[section][row.name].is_in(evidence(other.test))]  # fmt: skip

    assert len(wrong) > len(mine) / 2
