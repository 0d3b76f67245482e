"""Laws import-linter cannot hold: those of single files."""

import ast
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import sagastream
from sagastream import errors as errors_of_the_library
from sagastream.version import VERSION

ROOT = Path(__file__).parents[2]
# pydantic is the language events are written in; the rest is the standard library's vocabulary of values.
VOCABULARY_MAY_IMPORT = {"__future__", "sagastream", "pydantic", "datetime", "typing", "enum", "collections"}


def imported_by(file: Path) -> set[str]:
    """Return the top-level names a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or "").partition(".")[0])
    return found


def test_the_vocabulary_imports_only_the_library() -> None:
    assert imported_by(ROOT / "events.py") <= VOCABULARY_MAY_IMPORT


@pytest.mark.parametrize("file", sorted((ROOT / "sagastream").rglob("*.py")), ids=lambda file: file.name)
def test_the_library_imports_no_file_of_the_shop(file: Path) -> None:
    of_the_shop = {each.stem for each in ROOT.glob("*.py")} | {each.name for each in ROOT.glob("*_service")}

    assert not imported_by(file) & (of_the_shop | {"coordinator"})


def test_every_import_law_names_modules_that_exist() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    sources = {module for contract in settings["contracts"] for module in contract.get("source_modules", ())} | {
        rule.partition(" ->")[0] for contract in settings["contracts"] for rule in contract.get("ignore_imports", ())
    }

    missing = {
        module
        for module in sources
        if not (ROOT / f"{module.replace('.', '/')}.py").exists() and not (ROOT / module.replace(".", "/")).is_dir()
    }

    assert not missing


def test_whoever_uses_what_is_public_can_name_what_it_raises() -> None:
    """What the docstrings of public classes and methods say they raise is public too."""
    errors = {name for name in vars(errors_of_the_library) if not name.startswith("_")} | {"WrongStore", "UnknownSaga"}
    public = [getattr(sagastream, name) for name in sagastream.__all__]
    methods = [each for kind in public if isinstance(kind, type) for each in vars(kind).values()]
    told = [re.findall(r"Raises.*", inspect.getdoc(each) or "", re.DOTALL) for each in (*public, *methods)]

    raised = {name for parts in told for part in parts for name in re.findall(r"``(\w+)``", part)} & errors

    assert "ServerUnavailable" in raised
    assert raised <= set(sagastream.__all__)


def test_there_is_one_version() -> None:
    assert VERSION.count(".") == 2


def test_no_two_files_of_tests_have_one_name() -> None:
    """Only one of them would be run, and the other be an error in the middle of a run."""
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py") if "node_modules" not in file.parts]

    assert sorted({name for name in names if names.count(name) > 1}) == []
