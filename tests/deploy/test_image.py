"""The image can be built and run: what the Dockerfile says is done here in a directory instead of a container."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import zipfile
from functools import partial
from pathlib import Path

import httpx
import pytest

from sagastream.ports import free_port
from sagastream.version import VERSION
from tests.deploy.processes import bare_environment, running, wait_until
from tests.needs import IS_CI, ROOT

DOCKERFILE = [
    line
    for line in (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]
RUNS = [json.loads(line.removeprefix("RUN ")) for line in DOCKERFILE if line.startswith("RUN ")]


def let_through(directory: Path) -> Path:
    """Return a copy of what .dockerignore lets through: it refuses everything, then names what it takes."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert (rules[0], rules[-1]) == ("*", "**/__pycache__")
    assert all(re.fullmatch(r"![\w.-]+", rule) for rule in rules[1:-1])
    for name in (rule.removeprefix("!") for rule in rules[1:-1]):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            directory.mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
    return directory


def here(directory: Path, word: str) -> str:
    """Return a word of the Dockerfile as it is meant in a directory, for the user who runs the test."""
    return {"/app": f"{directory}/app", "/opt/venv": f"{directory}/venv", "/data": f"{directory}/data"}.get(
        word, str(os.getuid()) if word == "10001" else word
    )


def test_every_run_line_is_a_script_of_ours() -> None:
    assert all(os.access(ROOT / words[0], os.X_OK) and words[0].startswith("deploy/") for words in RUNS)
    assert len(RUNS) == sum(line.startswith("RUN") for line in DOCKERFILE) == 3


def test_the_image_is_pinned_watched_and_nobody_s() -> None:
    bases = {line.split()[1] for line in DOCKERFILE if line.startswith("FROM")}
    users = [line.split()[1] for line in DOCKERFILE if line.startswith("USER")]

    assert bases == {"${PYTHON_IMAGE}"}
    assert any(re.fullmatch(r"ARG PYTHON_IMAGE=python:\d+\.\d+-slim-\w+", line) for line in DOCKERFILE)
    assert sum(line.startswith("FROM") for line in DOCKERFILE) == 2
    assert users == [f"{RUNS[-1][-1]}:{RUNS[-1][-1]}"]
    assert int(RUNS[-1][-1]) > 0
    assert any(line.startswith("HEALTHCHECK") and "deploy/healthcheck.py" in line for line in DOCKERFILE)


def test_the_health_check_fails_where_nobody_answers() -> None:
    done = subprocess.run(
        ["python3", ROOT / "deploy/healthcheck.py", str(free_port())], capture_output=True, timeout=20
    )

    assert (done.returncode, done.stderr) == (1, b"")


def test_the_directory_for_data_is_its_users_own(tmp_path: Path) -> None:
    script, *words = RUNS[-1]

    subprocess.run([ROOT / script, *(here(tmp_path, word) for word in words)], check=True, timeout=20)

    found = (tmp_path / "data").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (os.getuid(), 0o750)


@pytest.mark.parametrize(("is_the_one", "code"), [(True, 0), (False, 1)])
def test_only_a_package_with_the_hash_of_the_lock_is_installed(tmp_path: Path, is_the_one: bool, code: int) -> None:
    digest = _wheel(tmp_path / "nothing-1.0-py3-none-any.whl")
    (tmp_path / "requirements.lock").write_text(f"nothing==1.0 --hash=sha256:{digest if is_the_one else '0' * 64}\n")
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    offline = bare_environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path), PIP_CONFIG_FILE=os.devnull)

    installed = subprocess.run(
        [tmp_path / "deploy/install.sh", tmp_path / "venv"], env=offline, capture_output=True, text=True, timeout=120
    )
    imported = subprocess.run([tmp_path / "venv/bin/python", "-c", "import nothing"], capture_output=True, timeout=30)

    assert (installed.returncode, imported.returncode) == (code, code), installed.stderr
    assert ("DO NOT MATCH THE HASHES" in installed.stderr) == (not is_the_one)


@pytest.mark.processes
def test_what_the_image_is_built_of_runs_the_shop(tmp_path: Path) -> None:
    """Each COPY and RUN in turn, then ENTRYPOINT and CMD, until HEALTHCHECK is content."""
    if not IS_CI and "TRY_IMAGE" not in os.environ:
        pytest.skip("installs from the package index; CI does, and so does TRY_IMAGE=1")
    context, app = let_through(tmp_path / "context"), tmp_path / "app"
    app.mkdir()

    for line in DOCKERFILE:
        if line.startswith("COPY ") and not line.startswith("COPY --from"):
            *sources, target = line.split()[1:]
            for source in sources:
                _copy(context / source, app / target)
        elif line.startswith("RUN "):
            script, *words = json.loads(line.removeprefix("RUN "))
            command = [app / script, *(here(tmp_path, word) for word in words)]
            done = subprocess.run(command, cwd=app, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"

    python, port = tmp_path / "venv/bin/python", free_port()
    asked = partial(subprocess.run, cwd=app, capture_output=True, text=True, timeout=30)
    environment = bare_environment(DATA_DIR=str(tmp_path / "data"), PORT=str(port), PYTHONDONTWRITEBYTECODE="1")
    log = tmp_path / "log"
    assert asked([python, "-c", "import pip"]).returncode != 0
    assert asked([python, "-m", "sagastream.cli", "--version"]).stdout.strip() == VERSION
    (check,) = [json.loads(line.partition(" CMD ")[2]) for line in DOCKERFILE if line.startswith("HEALTHCHECK")]
    (entry,) = [json.loads(line.removeprefix("ENTRYPOINT ")) for line in DOCKERFILE if line.startswith("ENTRYPOINT")]
    (words,) = [json.loads(line.removeprefix("CMD ")) for line in DOCKERFILE if line.startswith("CMD")]
    assert check[0] == entry[0] == "python"
    with running([python, *entry[1:], *words], environment, log, cwd=app) as process:
        is_content = partial(asked, [python, *check[1:]], env=environment)
        wait_until(lambda: is_content().returncode == 0, "the health check is content", process, log)
        answer = httpx.get(f"http://127.0.0.1:{port}/api/stock/store-1/product-1", trust_env=False)
        assert answer.json()["unitPrice"] == "149.99"


def _wheel(path: Path) -> str:
    """Write a package with nothing in it and return its hash."""
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("nothing.py", "")
        wheel.writestr("nothing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
        wheel.writestr("nothing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("nothing-1.0.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
