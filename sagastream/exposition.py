"""Merge the Prometheus texts of several services into one. Works on text; interprets and changes no figure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)(?:\{(?P<labels>.*)\})?(?P<rest> .+)")
_HAS_SERVICE = re.compile(r'(?:^|,)\s*service="')


@dataclass
class _Family:
    about: list[str] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)


def merge(texts: Mapping[str, str]) -> str:
    """Return one text in which each sample names its service, with HELP and TYPE once per family.

    ``texts`` maps a service to the text it exported. A sample that already has the label ``service`` keeps it.
    """
    families: dict[str, _Family] = {}
    for service, text in texts.items():
        family = _Family()
        for line in text.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                _, what, name, *_ = line.split(" ", 3)
                family = families.setdefault(name, _Family())
                if not any(known.startswith(f"# {what} ") for known in family.about):
                    family.about.append(line)
            elif match := _SAMPLE.fullmatch(line):
                family.samples.append(_with_service(match, service))
    return "".join(f"{line}\n" for line in _lines(families.values()))


def _lines(families: Iterable[_Family]) -> Iterable[str]:
    for family in families:
        if family.samples:
            yield from family.about
            yield from family.samples


def _with_service(match: re.Match[str], service: str) -> str:
    labels = match["labels"] or ""
    if _HAS_SERVICE.search(labels):
        return match[0]
    joined = f'{labels.rstrip(",")},service="{service}"' if labels else f'service="{service}"'
    return f"{match['name']}{{{joined}}}{match['rest']}"
