"""The result of a check. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The severity: all is well, needs a look, or must be fixed now."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: the check, its subject (``about``), the finding (``told``), and the command that helps."""

    check: str
    verdict: Verdict
    told: str
    help: str = ""
    about: str = ""


def ok(check: str, told: str, *, about: str = "") -> Finding:
    """Return the finding that all is well."""
    return Finding(check, Verdict.OK, told, about=about)


def warning(check: str, told: str, help: str, *, about: str = "") -> Finding:
    """Return the finding that something needs a look."""
    return Finding(check, Verdict.WARNING, told, help, about)


def problem(check: str, told: str, help: str, *, about: str = "") -> Finding:
    """Return the finding that something must be fixed."""
    return Finding(check, Verdict.PROBLEM, told, help, about)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict among the findings."""
    return max((finding.verdict for finding in findings), key=list(Verdict).index, default=Verdict.OK)


def lasting(ms: int) -> str:
    """Return a duration in words, in whole units."""
    seconds = max(0, ms) // 1000
    for name, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {name}"
    return f"{seconds} s"
