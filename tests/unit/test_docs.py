"""README and docs say what is so: programs run, paths exist, the diagram is the table's."""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.order_saga import ORDER
from money import Currency
from order_service.requests import read_order
from sagastream.coordinator.views import OpenView, SagaView, StateView, StepView, WaitView
from sagastream.saga.diagram import diagram
from sagastream.saga.lifecycle import Status
from sagastream.saga.standing import StepStatus, UndoStatus

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
WALK = ROOT / "docs" / "walk.md"
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOP_LEVEL = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
_CODE = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*/?")
_STEP_OF_WALK = re.compile(r"^\| \d \| `(\S+)` \| (.*?) \| (.*?) \|$", re.MULTILINE)


def blocks(document: Path, language: str) -> list[str]:
    """Return the code blocks of one language."""
    return [text for told, text in _BLOCK.findall(document.read_text()) if told == language]


def paths(document: Path) -> Iterator[str]:
    """Yield what a document names as a path of this checkout."""
    prose = _BLOCK.sub("", document.read_text())
    for code in _CODE.findall(prose):
        is_path = _PATH.fullmatch(code) and (code.partition("/")[0] in TOP_LEVEL or code.endswith((".py", ".md")))
        if (is_path and "/" in code) or code in TOP_LEVEL:
            yield code
    for target in re.findall(r"\]\(([^)#:]+)\)", prose):
        yield str((document.parent / target).relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_a_document_names_exists(document: Path) -> None:
    missing = [path for path in paths(document) if not (ROOT / path).exists() and not (document.parent / path).exists()]

    assert not missing


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) < 120


def test_the_program_of_the_readme_runs() -> None:
    """A stranger's saga and its play on the stage, exactly as printed."""
    module = types.ModuleType("readme")
    sys.modules["readme"] = module  # annotations are looked up there
    try:
        for block in blocks(README, "python"):
            exec(compile(block, "README.md", "exec"), module.__dict__)
    finally:
        del sys.modules["readme"]

    assert module.statuses


def test_every_make_command_of_the_documents_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for document in DOCUMENTS for target in re.findall(r"\bmake ([a-z-]+)", code_of(document))}

    assert named <= targets
    assert {"run", "test", "test-fast", "books", "check"} <= named


def code_of(document: Path) -> str:
    """Return everything a document sets as code, a line each."""
    text = document.read_text()
    return "\n".join([*(block for _, block in _BLOCK.findall(text)), *_CODE.findall(_BLOCK.sub("", text))])


def test_the_order_of_the_readme_is_accepted() -> None:
    (body,) = re.findall(r"-d '(\{.*?\})'$", "\n".join(blocks(README, "sh")), re.MULTILINE | re.DOTALL)

    order = read_order(body.encode(), Currency("EUR", 2), tolerance_cents=5)

    assert (order.total_amount_cents, order.items[0].total_price_cents) == (29999, 29998)


def test_the_steps_of_the_readme_are_those_of_the_table() -> None:
    shown = re.findall(r"^\| ([\w ]+) \| (\w+) \| Done \|$", README.read_text(), re.MULTILINE)

    assert shown == [("begin", ORDER.begun_by), *((step.name, step.by) for step in ORDER.steps)]


def test_the_diagram_of_the_walk_is_the_tables() -> None:
    """After a change of the table: `sagastream diagram order`, and copy it between the markers."""
    begin, end = (f"<!-- diagram of order: {edge} -->\n" for edge in ("begin", "end"))

    shown = WALK.read_text().partition(begin)[2].partition(end)[0]

    assert shown == f"```mermaid\n{diagram(ORDER)}\n```\n"


def test_every_station_of_the_walk_is_a_function_that_says_what_the_walk_says() -> None:
    stations = _STEP_OF_WALK.findall(WALK.read_text())

    wrong = [f"{file}: {what}" for file, what, then in stations if not _is_so(ROOT / file, what, then)]

    assert len(stations) == 10
    assert not wrong


def _is_so(file: Path, what: str, then: str) -> bool:
    """Tell whether functions named in a station exist, and together name the events it says come next."""
    functions = {
        node.name: ast.unparse(node)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
    }
    named = [name for name in _CODE.findall(what) if name.isidentifier()]
    events = [name for name in _CODE.findall(then) if name[:1].isupper()]
    source = "".join(functions.get(name, "") for name in named)
    return bool(named) and all(name in functions for name in named) and all(event in source for event in events)


def test_the_reference_names_every_field_and_status() -> None:
    text = (ROOT / "docs" / "reference" / "sagas.md").read_text()
    fields = {
        field.alias
        for view in (SagaView, StateView, StepView, WaitView, OpenView)
        for field in view.model_fields.values()
    }

    missing = [word for word in (*fields, *Status, *StepStatus, *UndoStatus) if f"`{word}`" not in text]

    assert not missing
