"""What a check found. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is: as it must be, to be looked at, or something that must be mended now."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at (``check``, and ``about`` whom), what is so, and the command that helps."""

    check: str
    verdict: Verdict
    told: str
    help: str = ""
    about: str = ""


def ok(check: str, told: str, *, about: str = "") -> Finding:
    """Return that something is as it must be."""
    return Finding(check, Verdict.OK, told, about=about)


def warning(check: str, told: str, help: str, *, about: str = "") -> Finding:
    """Return that something should be looked at."""
    return Finding(check, Verdict.WARNING, told, help, about)


def problem(check: str, told: str, help: str, *, about: str = "") -> Finding:
    """Return that something must be mended."""
    return Finding(check, Verdict.PROBLEM, told, help, about)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return how bad the worst of them is."""
    return max((finding.verdict for finding in findings), key=list(Verdict).index, default=Verdict.OK)


def lasting(ms: int) -> str:
    """Return a duration in words for people, in whole units."""
    seconds = max(0, ms) // 1000
    for name, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {name}"
    return f"{seconds} s"
