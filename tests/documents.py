"""The documents of this checkout, taken apart: their code blocks, and what their source says about each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "prometheus" / "RUNBOOK.md"]
NOT_RUN, STAYS = "not run", "stays"
LANGUAGES = {"sh", "python", "toml", "mermaid", "text"}
FENCE = re.compile(
    r"(?:^<!-- (not run|stays): ([^\n]+) -->\n)?^```(\S*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A code block; ``file`` is where its reader puts it, ``mark`` how it is treated, and ``why``."""

    language: str
    file: str
    text: str
    mark: str
    why: str


def blocks(document: Path, *languages: str) -> list[Block]:
    """Return the code blocks of a document, in their order."""
    found = [
        Block(language, file, text, mark, why)
        for mark, why, language, file, text in FENCE.findall(document.read_text())
    ]
    return [block for block in found if not languages or block.language in languages]


def prose(document: Path) -> str:
    """Return a document without its blocks."""
    return FENCE.sub("", document.read_text())
