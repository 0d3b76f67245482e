"""Sends changes to all clients of one process: one reader of the feed serves them all, while there are any.

However many sagas change, messages come no faster than ``PACE`` and show each saga's state at that time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial

import structlog

from sagastream.errors import ReplyError, SagastreamError, ServerUnavailable
from sagastream.live.feed import Feed
from sagastream.live.mailbox import Listener
from sagastream.live.messages import frame, trouble
from sagastream.live.source import Source

log = structlog.get_logger(__name__)

PACE = timedelta(milliseconds=50)  # decision 0015
BEAT = timedelta(seconds=1)  # how often the overall figures are read, and the longest wait for the feed
_SHARE = 2  # it pauses this many times as long as preparing a batch took: others use the process too
_REST = timedelta(seconds=1)  # after more changes than can be shown, or while the server is in trouble


class Full(SagastreamError):
    """The maximum number of clients is connected; reconnect later."""


class Ended(SagastreamError):
    """The task that reads changes has failed; reconnect."""


class _Run:
    """The state of one pair of tasks, from the first client to the last. A later run shares nothing with it.

    A client library may swallow a cancellation that meets a task whose reply is just arriving: that task goes on,
    finds that its run is over, and ends without touching the run that began meanwhile.
    """

    def __init__(self) -> None:
        self.position = ""
        self.is_positioned = asyncio.Event()
        self.latest: bytes | None = None
        self.is_over = False


class Hub:
    """The connected clients of one process."""

    def __init__(self, feed: Feed, source: Source, most: int) -> None:
        self._feed = feed
        self._source = source
        self._most = most
        self._listeners: set[Listener] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._run = _Run()

    @property
    def is_full(self) -> bool:
        """Tell whether the maximum number of clients is connected."""
        return len(self._listeners) >= self._most

    @contextmanager
    def joined(self, listener: Listener) -> Iterator[None]:
        """Report changes to a listener for as long as the block runs.

        Raises: ``Full``.
        """
        if self.is_full:
            raise Full(f"{self._most} clients follow already")
        if not self._listeners:
            self._start()
        self._listeners.add(listener)
        if self._run.latest is not None:
            listener.told(self._run.latest)
        try:
            yield
        finally:
            if listener in self._listeners:
                self._listeners.remove(listener)
                if not self._listeners:
                    self._stop()

    async def position(self, within: timedelta | None = None) -> str | None:
        """Return the position after which a joined listener gets every change; waits for the server.

        None if that takes longer than ``within``: then the listener is told about the trouble there is.
        Raises: ``Ended`` if no changes will ever be reported.
        """
        run = self._run
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds() if within is not None else None):
                await run.is_positioned.wait()
            if run.is_over:
                raise Ended("nobody tells any more what changes")
            return run.position
        return None

    def _start(self) -> None:
        self._run = run = _Run()
        self._source.forget()
        self._tasks = [
            asyncio.create_task(self._follow(run), name="live: changes"),
            asyncio.create_task(self._beat(run), name="live: figures"),
        ]
        for task in self._tasks:
            task.add_done_callback(partial(self._finished, run))

    def _stop(self) -> None:
        self._run.is_over = True
        self._run.is_positioned.set()  # release those who wait for a position: none will come
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def _finished(self, run: _Run, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("live.failed", task=task.get_name(), exc_info=error)
        if run.is_over:
            return
        # Clients that get no more changes must not believe that nothing happens: they are told to reconnect. One
        # that connects before the slowest of them has left starts a new run, and does not join the one that ended.
        ended, self._listeners = self._listeners, set()
        self._stop()
        for listener in ended:
            listener.ended()

    async def _follow(self, run: _Run) -> None:
        loop = asyncio.get_running_loop()
        is_in_trouble = False
        while not run.is_over:
            try:
                if not run.is_positioned.is_set():
                    run.position = await self._feed.end()
                    run.is_positioned.set()
                await self._feed.wait(run.position, BEAT)
                began = loop.time()
                await self._step(run)
                is_in_trouble = False
                took = timedelta(seconds=loop.time() - began)
                await asyncio.sleep(max(PACE - took, took * _SHARE).total_seconds())
            except (ServerUnavailable, ReplyError) as error:
                if not is_in_trouble:
                    log.warning("live.interrupted", error=str(error))
                    self._tell(run, trouble("the store cannot be reached right now"))
                is_in_trouble = True
                await asyncio.sleep(_REST.total_seconds())

    async def _step(self, run: _Run) -> None:
        changes = await self._feed.since(run.position)
        if changes is None:
            await asyncio.sleep(_REST.total_seconds())
            run.position = await self._feed.end()
            for listener in self._of(run):
                listener.missed(run.position, "more changed than can be shown, or the store is not what it was")
        elif changes.sagas:
            batch = await self._source.batch(changes)
            for listener in self._of(run):
                listener.changed(batch)
            run.position = changes.position

    async def _beat(self, run: _Run) -> None:
        while not run.is_over:
            with suppress(ServerUnavailable, ReplyError):  # the task that follows the feed reports it
                view = await self._source.pulse()
                self._tell(run, frame("figures", view.model_dump_json(by_alias=True)))
            await asyncio.sleep(BEAT.total_seconds())

    def _tell(self, run: _Run, message: bytes) -> None:
        run.latest = message
        for listener in self._of(run):
            listener.told(message)

    def _of(self, run: _Run) -> set[Listener]:
        return set() if run.is_over else self._listeners
