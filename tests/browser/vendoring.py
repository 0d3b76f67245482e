"""What is vendored into the console: published ES modules that import each other by file. ``python -m`` writes it.

A browser finds modules by address, not by package, so their imports are rewritten; source maps are not shipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
VENDOR = HERE.parents[1] / "sagastream" / "coordinator" / "console" / "static" / "vendor"
# What an import is called, the package it is of, its file there, and its file here.
MODULES = (
    ("preact", "preact", "dist/preact.mjs", "preact.js"),
    ("preact/hooks", "preact", "hooks/dist/hooks.mjs", "hooks.js"),
    ("@preact/signals-core", "@preact/signals-core", "dist/signals-core.mjs", "signals-core.js"),
    ("@preact/signals", "@preact/signals", "dist/signals.mjs", "signals.js"),
    ("htm", "htm", "dist/htm.mjs", "htm.js"),
)
_FROM = re.compile(r'\bfrom"([^".][^"]*)"')
_MAP = re.compile(r"\n?//# sourceMappingURL=.*\s*$")


def vendored() -> Iterator[tuple[str, str]]:
    """Yield every file to be vendored, by name: the modules, their licences, and which versions they are."""
    files = {name: file for name, _, _, file in MODULES}
    for _, package, source, file in MODULES:
        text = (PACKAGES / package / source).read_text()
        yield file, _MAP.sub("\n", _FROM.sub(lambda found: f'from"./{files[found[1]]}"', text))
    versions = {}
    for package in dict.fromkeys(package for _, package, _, _ in MODULES):
        about = json.loads((PACKAGES / package / "package.json").read_text())
        versions[package] = {"version": about["version"], "license": about["license"]}
        yield f"LICENSE.{package.replace('@', '').replace('/', '-')}", (PACKAGES / package / "LICENSE").read_text()
    yield "versions.json", json.dumps(versions, indent=2) + "\n"


if __name__ == "__main__":
    for name, text in vendored():
        (VENDOR / name).write_text(text)
