"""The audit report for people and for programs. Pure: findings in, text or JSON out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from sagastream.audit.findings import Difference, Tried
from sagastream.audit.whole import Audited

SHOWN = 20  # differences shown per rule
_NOTHING = "nothing differs"


def report(told: Audited) -> list[str]:
    """Return how many sagas there are, one line per rule, what could not be judged, and every difference."""
    return [*_sums(told), "", *_table(told), *_unknown(told), *_differences(told), "", _verdict(told)]


def kept_lines(kept: Sequence[Difference]) -> list[str]:
    """Return every difference the coordinators keep, by rule, in the words by which it can be taken back."""
    lines: list[str] = []
    for rule in dict.fromkeys(each.rule for each in kept):
        lines.append(f"{rule}:")
        for each in kept:
            if each.rule == rule:
                lines += [f"  {each.about}", f"    expected  {each.expected}", f"    found     {each.found}"]
    return [*lines, "", _many(len(kept))] if kept else [_NOTHING]


def written(told: Audited) -> str:
    """Return the whole audit as one JSON object."""
    return json.dumps(
        {
            "atMs": told.at_ms,
            "tookSeconds": round(told.took_s, 3),
            "isClean": told.is_clean,
            "statuses": told.statuses,
            "rules": [
                {
                    "rule": name,
                    "says": tried.rule.says,
                    "compared": tried.compared,
                    "unknown": dict(tried.unknown),
                    "differing": tried.differing,
                    "advice": tried.rule.advice,
                }
                for name, tried in told.findings.tried.items()
            ],
            "differences": [each.told() for each in told.findings.differences],
        }
    )


def _sums(told: Audited) -> Iterator[str]:
    listed = ", ".join(f"{many} {status}" for status, many in told.statuses.items())
    yield f"{sum(told.statuses.values())} sagas: {listed or 'none'}; audited in {told.took_s:.1f} s"


def _table(told: Audited) -> Iterator[str]:
    width = max(len(name) for name in told.findings.tried)
    yield f"{'RULE':<{width}}  COMPARED   UNKNOWN    DIFFER"
    for name, tried in told.findings.tried.items():
        yield f"{name:<{width}}  {tried.compared:>8}  {tried.unknown.total():>8}  {tried.differing:>8}"


def _unknown(told: Audited) -> Iterator[str]:
    why: dict[str, list[str]] = {}
    for name, tried in told.findings.tried.items():
        for reason, many in tried.unknown.items():
            why.setdefault(reason, []).append(f"{name} ({many})")
    for reason, rules in why.items():
        yield ""
        yield f"not judged, {reason}: {', '.join(rules)}"


def _differences(told: Audited) -> Iterator[str]:
    for tried in told.findings.tried.values():
        if tried.differing:
            yield ""
            yield from _of_a_rule(tried)


def _of_a_rule(tried: Tried) -> Iterator[str]:
    yield f"{tried.rule.name}: {tried.rule.says}"
    for each in tried.differences[:SHOWN]:
        yield f"  {each.about}"
        if each.expected != tried.rule.says:
            yield f"    expected  {each.expected}"
        yield f"    found     {each.found}"
    if tried.differing > SHOWN:
        yield f"  and {tried.differing - SHOWN} more; --json tells of up to 1000"
    yield f"  what to do: {tried.rule.advice}"


def _verdict(told: Audited) -> str:
    return _NOTHING if told.is_clean else _many(told.findings.differing)


def _many(places: int) -> str:
    return f"{places} difference{'s' if places > 1 else ''}; docs/reference/audit.md says what each rule proves"
