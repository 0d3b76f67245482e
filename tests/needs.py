"""Programs a test needs from the machine: CI must have them, at home a test without them is skipped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IS_CI = any(os.environ.get(name, "").lower() not in ("", "0", "false") for name in ("SAGASTREAM_CI_RUN", "CI"))


def program(name: str, package: str | None = None) -> Path:
    """Return where a program is; ``package`` is Debian's, if it is called otherwise."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    if found is None:
        absent(f"{name} is not here; on Debian: apt-get install {package or name}")
    return Path(str(found))


def absent(reason: str) -> None:
    """End the test: failed in CI, skipped elsewhere."""
    if IS_CI:
        pytest.fail(reason)
    pytest.skip(reason)
