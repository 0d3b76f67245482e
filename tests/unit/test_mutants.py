"""The table of planted bugs is whole: nothing is forgotten, and no patch has lost its place in the code.

That each bug is noticed is shown by `make mutants`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import main
from tests.mutants.copies import Copy, DoesNotApply, apply, is_a_kill
from tests.mutants.table import HERE, ROOT, TABLE, Mutant
from tests.needs import program

# Those without which the table says too little.
NEEDED = """
no bar; no closed key; oldest first; no tombstone; no duplicate check; guard before duplicate check; acknowledge before
commit; blind release; compensation announced for nothing; refund with a fresh key; time-out treated as a refusal; own
pending entries not drained; group recreated at `$`; attempt raised by server trouble; random event ids; version check
missing; sweep that pops; deadline without watermark; counters in process; burying without `StepGaveUp`; per-line
instead of summed guard
"""


def test_every_bug_that_must_be_noticed_has_a_row() -> None:
    needed = " ".join(NEEDED.split()).split("; ")

    assert len(needed) == 21
    assert set(needed) <= {mutant.bug for mutant in TABLE}


def test_every_patch_has_one_row_and_every_row_a_patch() -> None:
    assert sorted(mutant.patch for mutant in TABLE) == sorted(file.stem for file in HERE.glob("*.patch"))
    assert len({mutant.bug for mutant in TABLE}) == len(TABLE)


@pytest.mark.parametrize("mutant", TABLE, ids=lambda mutant: mutant.patch)
def test_a_patch_still_applies_and_says_what_it_plants(mutant: Mutant) -> None:
    program("git")
    said, _, change = mutant.file.read_text().partition("\n\n")

    apply(mutant, "--check", at=ROOT)

    assert said.endswith(".")
    assert "\n" not in said
    assert not [line for line in change.splitlines() if line.startswith("+++ b/tests/")]


@pytest.mark.parametrize("mutant", TABLE, ids=lambda mutant: mutant.patch)
def test_a_killer_is_a_test_that_exists(mutant: Mutant) -> None:
    file, _, name = mutant.killer.partition("::")
    tests = {
        node.name
        for node in ast.parse((ROOT / file).read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }

    assert name.partition("[")[0] in tests


@pytest.mark.parametrize(
    ("said", "is_kill"),
    [
        ("pytest ended with 1\nF\nFAILED tests/x.py::test_a[b-c] - assert 1 == 2\n", True),
        ("pytest ended with 1\nF\nFAILED tests/x.py::test_a - AssertionError: waited in vain\n", True),
        ("pytest ended with 1\nF\nFAILED tests/x.py::test_a - Failed: DID NOT RAISE <class 'E'>\n", True),
        ("pytest ended with 1\nF\nFAILED tests/x.py::test_a - NameError: name 'x' is not defined\n", False),
        ("pytest ended with 1\nE\nERROR tests/x.py::test_a - AssertionError: a fixture\n", False),
        ("pytest ended with 2\nERROR tests/x.py - ImportError\n", False),
        ("pytest ended with 4\nERROR: not found: tests/x.py::test_a\n", False),
        ("pytest ended with 5\nno tests ran\n", False),
        ("pytest ended with 1\n", False),
    ],
)
def test_only_a_promise_that_did_not_hold_is_a_kill(said: str, is_kill: bool) -> None:
    """A bug that merely breaks the program shows nothing about the tests."""
    assert is_a_kill(said, "AssertionError") is is_kill


def test_a_bug_that_the_product_itself_catches_is_killed_by_that_error_only() -> None:
    said = "pytest ended with 1\nF\nFAILED tests/x.py::test_a - shop.Differs: 3 were taken, but 0 given back\n"

    assert is_a_kill(said, "shop.Differs")
    assert not is_a_kill(said, "AssertionError")


class Told(Copy):
    """A copy in which tests end as they are told to, without a bug and with one."""

    def __init__(self, healthy: str | None, ill: str | None, *, has_moved: bool = False) -> None:
        self._healthy, self._ill, self._has_moved = healthy, ill, has_moved
        self.planted: list[Mutant] = []

    def plant(self, mutant: Mutant) -> None:
        """Put a bug in, unless the code has moved away."""
        if self._has_moved:
            raise DoesNotApply("error: patch does not apply")
        self.planted.append(mutant)

    def take_out(self, mutant: Mutant) -> None:
        """Take it out again."""
        self.planted.remove(mutant)

    def run(self, *tests: str) -> str | None:
        """End as told."""
        return self._ill if self.planted else self._healthy


KILL = "pytest ended with 1\nF\nFAILED tests/x.py::test_a - assert 1 == 2\n"
BROKEN = "pytest ended with 4\nERROR: not found\n"


@pytest.mark.parametrize(
    ("healthy", "ill", "has_moved", "word", "ends"),
    [
        (None, KILL, False, "killed by", 0),
        (None, None, False, "SURVIVED", 1),
        (None, BROKEN, False, "NO PROMISE BROKEN", 1),
        (KILL, KILL, False, "A KILLER FAILS", 1),
        (None, KILL, True, "DOES NOT APPLY", 1),
    ],
    ids=["killed", "survives", "breaks the program", "fails by itself", "has no place"],
)
def test_whatever_is_not_a_kill_fails_the_build(
    healthy: str | None, ill: str | None, has_moved: bool, word: str, ends: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug that lives, a killer that is no good and a patch without a place are told and counted."""
    copies: list[Told] = []

    def copied(folder: Path) -> Copy:
        copies.append(Told(healthy, ill, has_moved=has_moved))
        return copies[-1]

    assert main(["01-no-bar"], copied) == ends
    assert word in capsys.readouterr().out
    assert [copy.planted for copy in copies] == [[], []]
