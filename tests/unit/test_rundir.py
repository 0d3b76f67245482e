"""Who runs in a directory is told truly, and what was left over from a run that was killed is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sagastream.rundir import AlreadyRunning, RunDir

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


def test_who_holds_a_directory_is_told_and_not_who_held_it_before(tmp_path: Path) -> None:
    """The lock of one that was killed lies there with its pid, which may be longer than ours."""
    run = RunDir(tmp_path)
    (tmp_path / "shop.lock").write_text("1234567890123")

    told = rf"in use by process {os.getpid()};"
    with run.locked("shop"), pytest.raises(AlreadyRunning, match=told), RunDir(tmp_path).locked("shop"):
        pass


def test_who_reads_a_pid_while_it_is_written_anew_reads_the_one_or_the_other(tmp_path: Path) -> None:
    """Half a pid would be the pid of somebody else."""
    run = RunDir(tmp_path)
    run.write("stock", 4711)

    with (tmp_path / "stock.pid").open() as reading:
        run.write("stock", 12)
        assert (reading.read(), run.read("stock")) == ("4711\n", "12")


def test_a_process_left_over_that_does_not_listen_is_ended_nevertheless(tmp_path: Path) -> None:
    """It hangs, or is stopped: asked to end it does not, and the next shop needs its port."""
    run = RunDir(tmp_path)
    mark = f"--of {tmp_path}"
    with subprocess.Popen([sys.executable, "-c", DEAF, "--of", str(tmp_path)], stdout=subprocess.PIPE) as left_over:
        assert left_over.stdout is not None
        left_over.stdout.readline()
        run.write("stock", left_over.pid)

        assert run.end_stale("stock", mark, within_s=0.2)
        assert left_over.wait(timeout=10) < 0

    assert run.read("stock") is None


def test_who_ends_when_asked_is_not_forced_as_well(tmp_path: Path) -> None:
    """By then its pid may be that of a process that nobody meant."""
    run, sent = RunDir(tmp_path), list[int]()

    def send(pid: int, sign: int) -> None:
        sent.append(sign)
        os.kill(pid, sign)

    mild = "import time; print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", mild, "--of", str(tmp_path)], stdout=subprocess.PIPE) as left_over:
        assert left_over.stdout is not None
        left_over.stdout.readline()  # a process that has just begun has no command line yet
        run.write("stock", left_over.pid)
        assert run.end_stale("stock", f"--of {tmp_path}", send=send)
        left_over.wait(timeout=10)

    assert sent == [signal.SIGTERM]
