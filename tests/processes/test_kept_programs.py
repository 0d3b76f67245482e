"""A program that is kept alive, whatever stands in the way of starting it."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from pathlib import Path

from sagastream.ports import free_port
from sagastream.rundir import RunDir
from sagastream.settings import Settings
from sagastream.supervisor import Keeper, Program


class FullAtFirst(RunDir):
    """A directory on a disk that is full when the first pid is to be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.pids: list[int] = []
        self.is_written = asyncio.Event()

    def write(self, name: str, text: str | int, kind: str = "pid") -> None:
        """Keep the pid; fail the first time."""
        self.pids.append(int(text))
        if len(self.pids) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(name, text, kind)
        self.is_written.set()


class Watched(RunDir):
    """A directory that remembers when programs were started, and when they had ended."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.began_s: list[float] = []
        self.ended_s: list[float] = []

    def write(self, name: str, text: str | int, kind: str = "pid") -> None:
        """Keep the pid, and the instant."""
        self.began_s.append(time.monotonic())
        super().write(name, text, kind)

    def remove(self, name: str) -> None:
        """Forget the process, and keep the instant."""
        self.ended_s.append(time.monotonic())
        super().remove(name)


async def test_a_program_that_cannot_be_started_is_tried_again_and_never_runs_twice(tmp_path: Path) -> None:
    """It does not end by itself: without its pid nobody would find it, and it would run on beside the next."""
    run = FullAtFirst(tmp_path / "run")
    runs_on = ("front", "--port", str(free_port()), "--upstream", f"shop=http://127.0.0.1:{free_port()}")
    environment = {**os.environ, "REDIS_URL": f"redis://127.0.0.1:{free_port()}", "DATA_DIR": str(tmp_path)}
    keeper = Keeper(Program("front", runs_on, rank=0), run, environment, Settings())
    try:
        async with asyncio.timeout(20):
            await run.is_written.wait()
    finally:
        await keeper.stop()

    first, *_ = run.pids
    assert len(run.pids) >= 2
    assert not Path(f"/proc/{first}").exists()


async def test_a_program_that_ends_again_and_again_is_given_time(tmp_path: Path) -> None:
    """One that can never run, such as after a mistake in its settings, is no reason to keep the machine busy."""
    run = Watched(tmp_path)
    keeper = Keeper(Program("lame", ("no-such-command",), rank=0), run, os.environ, Settings())
    try:
        async with asyncio.timeout(20):
            while len(run.began_s) < 4:  # noqa: ASYNC110  # a process tells nobody
                await asyncio.sleep(0.01)
    finally:
        await keeper.stop()

    rests_s = [began - ended for began, ended in zip(run.began_s[1:], run.ended_s, strict=False)]
    assert [rest >= at_least for rest, at_least in zip(rests_s, (0.2, 0.5, 1.0), strict=True)] == [True] * 3
