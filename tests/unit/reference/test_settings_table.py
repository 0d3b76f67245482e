"""Every setting stands in the reference, with its default and what it means."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib

from tests.unit.reference.evidence import ROOT
from tests.unit.reference.settings_table import PARTS, tables

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_tables_of_settings_are_those_of_the_classes() -> None:
    shown = (ROOT / "docs" / "reference" / "settings.md").read_text()

    assert "##" + shown.partition("##")[2] == tables(), "run: python -m tests.unit.reference.settings_table"


def test_every_setting_says_what_it_means() -> None:
    silent = re.findall(r"^\| (`\w+`) \| .* \|  \|$", tables(), re.MULTILINE)

    assert silent == []


def test_no_class_of_settings_is_left_out() -> None:
    """A service that grows settings of its own shows up here."""
    files = [ROOT / package for package in PROJECT["tool"]["importlinter"]["root_packages"]]
    declared = {
        node.name
        for folder in files
        for file in folder.rglob("settings.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    }

    assert declared == {settings.__name__ for settings in PARTS.values()}


def test_what_the_head_of_the_makefile_names_is_a_setting() -> None:
    """A reader tries what stands there."""
    head = (ROOT / "Makefile").read_text().partition("\n\n")[0]
    named = set(re.findall(r"\b[A-Z]{3,}(?:_[A-Z]+)*\b(?==|,| …| \(|:|$)", head, re.MULTILINE)) - {"README", "PROCS"}
    known = {name.upper() for settings in PARTS.values() for name in settings.model_fields}

    assert named <= known


def test_the_command_of_the_checkout_runs_from_anywhere() -> None:
    """What `make` writes beside the interpreter finds the checkout, wherever it is called."""
    recipe = subprocess.run(
        ["make", "--no-print-directory", "-n", "-B", "run", "VENV=.venv"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    (line,) = re.findall(r"^printf .* '(PYTHONPATH=.*)'", recipe, re.MULTILINE)

    assert f'PYTHONPATH="{ROOT}' in line
    assert f'exec "{ROOT}/.venv/bin/python" -m sagastream.cli "$@"' in line
