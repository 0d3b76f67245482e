"""Chromium driven over a pipe with the DevTools protocol. Starts it, hears what it says; asserts nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sagastream.offspring import dies_with_parent

PROGRAM = shutil.which("chromium") or "/usr/bin/chromium"
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe", "about:blank"),
)
_MOST_BYTES = 64 * 1024 * 1024  # of one message: a picture of a whole page
Told = Mapping[str, Any]


class Refused(Exception):
    """The browser could not do what it was told."""


class Chromium:
    """One browser: sends commands and hands out what it says by page."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._open: dict[int, asyncio.Future[Told]] = {}
        self._listeners: dict[str, Callable[[str, Told], None]] = {}

    async def send(self, method: str, session: str | None = None, **params: object) -> Told:
        """Have something done and return what came of it."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        self._open[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(60):
            return await self._open[number]

    def listen(self, session: str, listener: Callable[[str, Told], None]) -> None:
        """Call a listener with what is said of a page."""
        self._listeners[session] = listener

    async def hear(self) -> None:
        """Hand out what the browser says, until it ends."""
        while True:
            try:
                message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            except asyncio.IncompleteReadError:
                break
            answered = self._open.pop(message.get("id"), None)
            if answered is not None and not answered.done():
                if "error" in message:
                    answered.set_exception(Refused(message["error"]["message"]))
                else:
                    answered.set_result(message["result"])
            elif "method" in message and (listener := self._listeners.get(message.get("sessionId", ""))):
                listener(message["method"], message["params"])
        for waiting in self._open.values():
            waiting.cancel()


@asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Chromium]:
    """Run a browser around the block, with a profile of its own."""
    loop = asyncio.get_running_loop()
    to_read, to_say = os.pipe()
    to_hear, to_write = os.pipe()
    # It reads commands from descriptor 3 and speaks on 4. Other shells know no descriptors of two digits.
    command = f'exec "$@" 3<&{to_read} 4>&{to_write}'
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command, "bash", PROGRAM, f"--user-data-dir={profile}", *_FLAGS),
        pass_fds=(to_read, to_write),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=dies_with_parent(),
    )
    os.close(to_read)
    os.close(to_write)
    reader = asyncio.StreamReader(limit=_MOST_BYTES)
    heard, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(to_hear, "rb", 0))
    said, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(to_say, "wb", 0))
    browser = Chromium(reader, asyncio.StreamWriter(said, protocol, None, loop))
    hearing = asyncio.create_task(browser.hear())
    try:
        yield browser
        await browser.send("Browser.close")
        await asyncio.wait_for(process.wait(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        hearing.cancel()
        said.close()
        heard.close()
