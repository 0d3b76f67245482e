"""The reference of the command line names every command and exit code, and those only."""

from __future__ import annotations

import argparse
import ast
import re
import sys

from sagastream.cli.exits import MEANINGS
from sagastream.cli.words import parser
from tests.documents import ROOT

PAGE = ROOT / "docs" / "reference" / "command.md"
CLI = ROOT / "sagastream" / "cli"


def commands() -> dict[str, str]:
    """Return the help of each command and verb, by its words."""
    return dict(_below(parser(), ""))


def _below(one: argparse.ArgumentParser, path: str) -> list[tuple[str, str]]:
    found = []
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            told = {choice.dest: str(choice.help) for choice in action._choices_actions}
            for name, child in action.choices.items():
                found += [(f"{path}{name}", told[name]), *_below(child, f"{path}{name} ")]
    return found


def rows() -> list[str]:
    """Return the rows the tables must have, in their order."""
    told = [f"| `{name}` | {what} |" for name, what in commands().items()]
    return [*told, *(f"| {code} | {what} |" for code, what in MEANINGS.items())]


def test_the_page_has_every_command_and_exit_code_in_its_words() -> None:
    shown = re.findall(r"^\| [`\d].*\|$", PAGE.read_text(), re.MULTILINE)

    assert shown == rows()


def test_no_command_ends_with_a_number_that_is_not_told() -> None:
    """Nothing in the command line returns or exits with a bare number but those of the table."""
    bare = [
        (file.name, node.lineno)
        for file in CLI.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant) and type(node.value.value) is int
        if node.value.value not in MEANINGS
    ]

    assert bare == []
    assert sorted(MEANINGS) == [*range(len(MEANINGS) - 1), 130]


if __name__ == "__main__":
    sys.stdout.write("\n".join(rows()) + "\n")
