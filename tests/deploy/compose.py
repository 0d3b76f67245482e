"""What Debian's docker-compose reads out of docker-compose.microservices.yml."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from typing import TypeAlias

from tests.needs import ROOT, absent, program

FILE = ROOT / "docker-compose.microservices.yml"
TOKEN = "the-token-of-these-tests"
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
_TO_JSON = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"


@cache
def config(**surroundings: str) -> dict[str, dict[str, dict[str, Json]]]:
    """Return the file with everything filled in, as if nothing else were set around it."""
    compose = program("docker-compose")
    with compose.open("rb") as script:
        interpreter = script.readline().removeprefix(b"#!").strip().decode(errors="replace")
    if not interpreter.startswith("/"):
        absent(f"{compose} is not Debian's docker-compose, which is a Python script")
    surroundings = {"OPERATOR_TOKEN": TOKEN, **surroundings}
    told = subprocess.run(
        [compose, "--file", FILE, "config"],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **surroundings},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    # It can only write YAML, which only its own Python is sure to read.
    done = subprocess.run([interpreter, "-c", _TO_JSON], input=told.stdout, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    read: dict[str, dict[str, dict[str, Json]]] = json.loads(done.stdout)
    return read
