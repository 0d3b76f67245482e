"""Every command of README and docs, run as printed: against a real shop, or in an empty folder with the files shown."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from sagastream.offspring import dies_with_parent
from sagastream.ports import free_port
from tests.documents import DOCUMENTS, NOT_RUN, ROOT, STAYS, blocks
from tests.needs import program
from tests.processes.child import environment, left_behind
from tests.processes.dev_shop import DevShop
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]

RUNBOOK = "RUNBOOK.md"  # tests/monitoring runs its commands, with a saga that has not ended
WITH_COMMANDS = [
    document for document in DOCUMENTS
    if document.name != RUNBOOK and any(block.mark != NOT_RUN for block in blocks(document, "sh"))
]  # fmt: skip
_PRINTED_URL = "http://localhost:8080"
_SAGA = re.compile(r'"sagaId":\s*"(\w+)"')


class Terminal:
    """A shell in one folder; it knows the saga it saw last, where a document says ``SAGA_ID``."""

    def __init__(self, folder: Path, tools: Path, port: int, **settings: str) -> None:
        self.folder, self._port, self._saga = folder, port, ""
        self.environment = environment(folder, **settings)
        if not settings:
            del self.environment["DATA_DIR"]  # as in a terminal that was just opened
        self.environment["PATH"] = os.pathsep.join((str(tools), self.environment["PATH"]))
        self.environment["PYTHONPATH"] = os.pathsep.join((str(folder), str(ROOT)))

    def command(self, text: str) -> list[str]:
        """Return what to start for commands as they are printed."""
        text = text.replace(_PRINTED_URL, f"http://localhost:{self._port}").replace("PORT=8080", f"PORT={self._port}")
        text = text.replace(".venv/bin/", "").replace("SAGA_ID", self._saga)
        return [str(program("bash")), "-euo", "pipefail", "-c", text]

    async def run(self, text: str) -> None:
        """Run commands, which must succeed."""
        start = partial(
            subprocess.run, self.command(text), cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        done = await asyncio.to_thread(start)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        self._saga = (_SAGA.findall(done.stdout) or [self._saga])[-1]

    def _start(self, text: str, log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            return subprocess.Popen(
                self.command(text), cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, preexec_fn=dies_with_parent(),
            )  # fmt: skip

    @asynccontextmanager
    async def keeping(self, text: str) -> AsyncIterator[None]:
        """Run commands that stay around the block, once they have said that they are ready."""
        log = self.folder / "stays.log"
        process = self._start(text.replace("sagastream", "exec sagastream", 1), log)

        async def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return (await client.get("/readyz")).is_success
            except httpx.TransportError:
                return False

        async def has_ended() -> bool:
            return process.poll() is not None

        try:
            async with httpx.AsyncClient(base_url=f"http://localhost:{self._port}", trust_env=False) as client:
                await until(is_ready, "what stays is ready", within_s=60)
            yield
        finally:
            process.terminate()
            try:
                await until(has_ended, "what stays ends")
            finally:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands that `make` puts into the virtual environment."""
    program("curl")
    program("jq")
    folder = tmp_path_factory.mktemp("bin")
    for name, words in (("python", ""), ("sagastream", "-m sagastream.cli")):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=lambda path: path.name)
async def test_the_commands_of_a_document_run(
    document: Path, shop_in_one: DevShop, tools: Path, tmp_path: Path
) -> None:
    """In their order; a document that shows files is followed in an empty folder, any other in this checkout."""
    if any(block.file for block in blocks(document)):
        await _follow(document, Terminal(tmp_path, tools, free_port()))
        assert left_behind(tmp_path) == []
    else:
        shop, port = shop_in_one, shop_in_one.http.base_url.port or 0
        settings = {"DATA_DIR": str(shop.data_dir), "SHOP": f"http://localhost:{port}"}
        terminal = Terminal(ROOT, tools, port, **settings)
        terminal.environment |= settings
        await _follow(document, terminal)


async def _follow(document: Path, terminal: Terminal) -> None:
    steps = [block for block in blocks(document) if block.mark != NOT_RUN]
    for at, block in enumerate(steps):
        if block.file:
            (terminal.folder / block.file).write_text(block.text)
        elif block.language == "sh" and block.mark == STAYS:
            async with terminal.keeping(block.text):
                for later in steps[at + 1 :]:
                    await terminal.run(later.text)
            return
        elif block.language == "sh":
            await terminal.run(block.text)


async def test_most_documents_are_followed() -> None:
    """An empty list would pass for everything."""
    assert {"README.md", "write-a-saga.md", "operate.md", "http.md"} <= {document.name for document in WITH_COMMANDS}
