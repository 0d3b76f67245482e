"""Run one service in this process: wait for its store, open resources, run workers, stop. Handles no request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

import structlog

from sagastream.durability import read_durability
from sagastream.errors import ReplyError, SagastreamError, ServerUnavailable
from sagastream.store import StoreMark, WrongStore
from sagastream.together import set_within

if TYPE_CHECKING:
    from sagastream.bus import Connection

_log = structlog.get_logger()
_FIRST_PAUSE = timedelta(seconds=0.5)
_LONGEST_PAUSE = timedelta(seconds=5)
_STORE_PAUSE = timedelta(seconds=1)


class Worker(Protocol):
    """A task that runs as long as its service does, such as a consumer."""

    name: str

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, finish what has begun, return. Server trouble is handled inside, never raised."""
        ...

    def is_ready(self) -> bool:
        """Tell whether the worker is working right now."""
        ...

    def describe(self) -> Mapping[str, str | int | float | bool | None]:
        """Return the worker's condition for people, as shown at ``/health``."""
        ...


class Host:
    """Resources and workers of one service, from start to stop; an async context manager.

    Entering returns once everything is open, or once the first attempt failed: the server could not be reached, or its
    store is not the right one. The wait then continues in the background; until it ends nothing is opened and no worker
    runs. ``is_open`` tells when it has ended, ``trouble`` what is wrong with the store. A worker that ends early is not
    started again: the service stays up and reports that it is not ready; its supervisor should restart the process.
    """

    def __init__(
        self,
        name: str,
        *,
        server: Connection,
        url: str,
        store: StoreMark,
        resources: Sequence[AbstractAsyncContextManager[object]] = (),
        workers: Sequence[Worker] = (),
        stop_within: timedelta = timedelta(seconds=10),
    ) -> None:
        self.name = name
        self.workers = tuple(workers)
        self.started_at = datetime.now(UTC)
        self.is_open = False
        self.failures: dict[str, str] = {}
        self.trouble: str | None = None
        self._server = server
        self._url = url
        self._store = store
        self._resources = tuple(resources)
        self._stop_within = stop_within
        self._stop = asyncio.Event()
        self._tried = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Tell whether everything is open and every worker is ready."""
        return self.is_open and not self.failures and all(worker.is_ready() for worker in self.workers)

    async def __aenter__(self) -> Self:
        self._life = asyncio.create_task(self._live(), name=f"{self.name}: host")
        self._life.add_done_callback(lambda task: self._ended(self.name, task))
        tried = asyncio.create_task(self._tried.wait())
        await asyncio.wait({self._life, tried}, return_when=asyncio.FIRST_COMPLETED)
        tried.cancel()
        if self._life.done():
            self._life.result()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.wait({self._life})

    async def _live(self) -> None:
        if not await wait_for_server(self._server, self._url, self._stop, tried=self._tried):
            return
        if not await self._wait_for_store():
            return
        await self._tell_what_may_be_forgotten()
        async with AsyncExitStack() as stack:
            for resource in self._resources:
                await stack.enter_async_context(resource)
            tasks = {asyncio.create_task(worker.run(self._stop), name=worker.name) for worker in self.workers}
            for task in tasks:
                task.add_done_callback(lambda task: self._ended(task.get_name(), task))
            self.is_open = True
            self._tried.set()
            await self._stop.wait()
            self.is_open = False
            await finish(tasks, self._stop_within)

    async def _wait_for_store(self) -> bool:
        """Return True once the store is the right one, False if stopped first; log why it is not the right one."""
        while not self._stop.is_set():
            try:
                await self._store.look()
            except (ServerUnavailable, ReplyError, WrongStore) as error:
                if str(error) != self.trouble:
                    _log.error("store.refused", url=without_secrets(self._url), error=str(error))
                self.trouble = str(error)
            else:
                self.trouble = None
                return True
            self._tried.set()
            await set_within(self._stop, _STORE_PAUSE)
        return False

    async def _tell_what_may_be_forgotten(self) -> None:
        with suppress(ServerUnavailable):  # the next command reports that
            for danger in (await read_durability(self._server)).dangers:
                help = "`sagastream doctor` tells what helps"
                _log.warning("server.may_forget", url=without_secrets(self._url), why=danger, help=help)

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failures[name] = f"{type(error).__name__}: {error}"
            if isinstance(error, OSError | SagastreamError) and not self.is_open:
                _log.error("service.not_opened", of=name, error=str(error))  # a person can fix that; no traceback
            else:
                _log.error("worker.failed", worker=name, exc_info=error)
        elif not self._stop.is_set():
            self.failures[name] = "ended by itself"
            _log.error("worker.ended", worker=name)


async def wait_for_server(
    server: Connection, url: str, stop: asyncio.Event, *, tried: asyncio.Event | None = None
) -> bool:
    """Return True once the server answers, False if ``stop`` is set first; log one line per failed attempt."""
    pause, attempt = _FIRST_PAUSE, 0
    while not stop.is_set():
        attempt += 1
        try:
            await server.execute("PING")
        except (ServerUnavailable, ReplyError) as error:
            _log.warning(
                "server.unreachable",
                url=without_secrets(url),
                attempt=attempt,
                again_in_s=pause.total_seconds(),
                error=str(error).splitlines()[0] if str(error) else type(error).__name__,
            )
        else:
            return True
        if tried is not None:
            tried.set()
        await set_within(stop, pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    return False


def without_secrets(url: str) -> str:
    """Return a URL that may be shown: without user and password, and without options, which may contain them too."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


async def finish(tasks: set[asyncio.Task[None]], within: timedelta) -> None:
    """Wait for workers that were told to stop, and cancel those that take longer than ``within``."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=within.total_seconds())
    for task in late:
        _log.warning("worker.cancelled", worker=task.get_name(), after_s=within.total_seconds())
        task.cancel()
    if late:
        await asyncio.wait(late)
