"""A copy of the checkout in which bugs are planted, tried and taken out again. The checkout itself is never touched."""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

from tests.mutants.table import ROOT, Mutant

BOUND_S = 120
# How pytest says in one line that an assertion, or a claim that something is raised, did not hold.
_ASSERTION = (" - assert ", " - AssertionError", " - Failed: ")
_TESTS_FAILED = 1  # of pytest's endings the one that says that tests ran and some failed


class DoesNotApply(Exception):
    """The code has moved away from under a patch; write it anew."""


class Copy:
    """A copy of everything git knows of the checkout, uncommitted changes included."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for name in _known_to_git():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
            if target.suffix == ".py":
                # By what is in it, not by when it was written: a bug comes and goes within one second.
                py_compile.compile(str(target), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)

    def plant(self, mutant: Mutant) -> None:
        """Put a bug in.

        Raises: ``DoesNotApply``.
        """
        apply(mutant, at=self._root)

    def take_out(self, mutant: Mutant) -> None:
        """Put everything back."""
        apply(mutant, "--reverse", at=self._root)

    def run(self, *tests: str) -> str | None:
        """Run tests here; return None if they pass, else what is the matter in pytest's words.

        Raises: ``TimeoutExpired`` after ``BOUND_S``.
        """
        options = ("-p", "no:cacheprovider", "-x", "-q", "-rfE", "--tb=no")
        environment = {**os.environ, "PYTHONPATH": str(self._root), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "250"}
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests], cwd=self._root, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BOUND_S, check=False,
        )  # fmt: skip
        return None if ended.returncode == 0 else f"pytest ended with {ended.returncode}\n{ended.stdout}"


def is_a_kill(said: str, caught_as: str) -> bool:
    """Tell whether a promise did not hold: no test that could not be found, read or set up is a kill."""
    failures = [line for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    reasons = _ASSERTION if caught_as == "AssertionError" else (f" - {caught_as}",)
    broken = [line for line in failures if line.startswith("FAILED ") and any(reason in line for reason in reasons)]
    return said.startswith(f"pytest ended with {_TESTS_FAILED}\n") and bool(failures) and broken == failures


def apply(mutant: Mutant, *options: str, at: Path) -> None:
    """Apply a patch to a tree, wholly or not at all.

    Raises: ``DoesNotApply`` with what git says.
    """
    # A tree below somebody's repository is not part of it.
    alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(at.parent)}
    done = subprocess.run(
        ["git", "apply", *options, str(mutant.file)], cwd=at, env=alone, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DoesNotApply(done.stderr.strip())


def _known_to_git() -> list[str]:
    # In CI the checkout may belong to somebody else than who runs this.
    told = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [name for name in told.stdout.split("\0") if name and (ROOT / name).is_file()]
