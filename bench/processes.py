"""Worker processes: prepared first, started together, asked for their CPU time, ended. One pipe to each."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Self

from bench.workers import Cast, running, settle_memory, the_shop
from sagastream.logs import configure
from sagastream.settings import Settings

_PATIENCE_S = 30.0


class Processes:
    """One process per worker, as a context manager; they wait for ``set_off``.

    A worker whose pipe closes ends itself, so none outlives this process, however it ends.
    """

    def __init__(self, names: Sequence[str], url: str, casting: Callable[[], Cast] = the_shop) -> None:
        self._names = names
        self._url = url
        self._casting = casting
        self._pipes: list[Connection[str, float]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start the processes and wait until each has loaded its code.

        Raises: ``TimeoutError`` if one does not start.
        """
        # Separate processes, forked from one that has loaded the code and done nothing else: loading it in each
        # would take longer than the whole run.
        starting = multiprocessing.get_context("forkserver")
        starting.set_forkserver_preload(["bench.workers"])
        try:
            for name in self._names:
                here, there = starting.Pipe()
                told = (name, self._url, self._casting, there)
                process = starting.Process(target=_work, args=told, name=name, daemon=True)
                process.start()
                there.close()
                self._stack.callback(process.join, _PATIENCE_S)
                self._pipes.append(self._stack.enter_context(here))
            self._answers()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close the pipes, which ends the workers, and wait for them."""
        for pipe in self._pipes:
            pipe.close()
        self._stack.close()

    def set_off(self) -> None:
        """Start the workers' work."""
        self._tell("go")

    def cpu_s(self) -> float:
        """Return the CPU time of all workers since they were set off."""
        self._tell("cpu")
        return sum(self._answers())

    def _tell(self, word: str) -> None:
        for pipe in self._pipes:
            pipe.send(word)

    def _answers(self) -> list[float]:
        for name, pipe in zip(self._names, self._pipes, strict=True):
            if not pipe.poll(_PATIENCE_S):
                raise TimeoutError(f"worker {name} did not answer within {_PATIENCE_S:g} s")
        return [pipe.recv() for pipe in self._pipes]


def _work(name: str, url: str, casting: Callable[[], Cast], pipe: Connection[float, str]) -> None:
    configure(Settings(log_level="ERROR"))
    settle_memory()
    pipe.send(0.0)
    try:
        pipe.recv()
        asyncio.run(_run(name, url, casting, pipe))
    except (EOFError, KeyboardInterrupt):
        pass  # the parent is gone: there is nothing left to do


async def _run(name: str, url: str, casting: Callable[[], Cast], pipe: Connection[float, str]) -> None:
    began = time.process_time()
    ended = asyncio.Event()

    def answer() -> None:
        try:
            pipe.recv()
            pipe.send(time.process_time() - began)
        except (EOFError, OSError):
            ended.set()
            asyncio.get_running_loop().remove_reader(pipe.fileno())

    asyncio.get_running_loop().add_reader(pipe.fileno(), answer)
    async with running([name], url, casting):
        await ended.wait()
