"""The demo as a newcomer runs it: everything ends as announced, the books agree, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from demo.__main__ import AS_ANNOUNCED, INTERRUPTED, NOT_PLAYED, OTHERWISE, main
from demo.scenes import SCENES
from sagastream.rundir import RunDir
from sagastream.saga.lifecycle import Status
from tests.processes.child import ROOT, environment, left_behind

pytestmark = pytest.mark.processes

MOST_S = 25.0


@contextmanager
def playing(data_dir: Path | None, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the demo as a process around the block, its temporary files in a place of their own."""
    told = {name: value for name, value in environment(temporary).items() if name != "DATA_DIR"}
    told |= {"TMPDIR": str(temporary), "PYTHONIOENCODING": "utf-8"}
    if data_dir is not None:
        told["DATA_DIR"] = str(data_dir)
    command = [sys.executable, "-m", "demo"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, env=told, text=True, encoding="utf-8", **pipes)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_the_demo_ends_as_announced_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Every kind of end is drawn, the books agree, and the whole takes less than it says."""
    begun = time.monotonic()
    with playing(None, tmp_path) as demo:
        out, complaints = demo.communicate(timeout=MOST_S)

    assert (demo.returncode, complaints) == (AS_ANNOUNCED, ""), out
    assert time.monotonic() - begun < MOST_S
    assert out.count("as announced\n") == len(SCENES)
    assert f"{len(SCENES)} of {len(SCENES)} sagas ended as announced, the books agree" in out
    for shape in ("● done", "✗ refused", "! overdue", "! cancelled", "◀ turned back", "→ asked", "↶ undone", "⊘ barred",
                  "↻ retry", "≡ repeated", "■ ended"):  # fmt: skip
        assert shape in out, shape
    assert {"PaymentRefunded", "StockReleased", "OrderCancelled", "NotificationSent"} <= set(out.split())
    assert "\x1b" not in out
    assert list(tmp_path.iterdir()) == []
    assert left_behind(tmp_path) == []


def test_a_saga_that_ends_otherwise_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An announcement is a claim: one that is not so is told, and is the exit code."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    code = main([replace(SCENES[0], ends=Status.COMPENSATED)])

    assert code == OTHERWISE
    assert "NOT AS ANNOUNCED: it ended Completed" in capsys.readouterr().out


def test_books_that_differ_fail_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Money that the provider keeps and nobody owes is found, however well the sagas end."""
    record = tmp_path / "provider" / "calls.jsonl"
    record.parent.mkdir()
    record.write_text(
        '{"atMs":1,"call":"charge","key":"nobody.charge","outcome":"charged","amountCents":100,"currency":"EUR",'
        '"method":"CreditCard","reference":"charge-1"}\n'
    )
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    code = main([SCENES[0]])

    told = capsys.readouterr().out
    assert code == OTHERWISE
    assert "the books DIFFER" in told
    assert "saga nobody: the provider keeps 100, but there is no order" in told


def test_a_shop_that_cannot_start_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another shop uses the directory: the message says so, in the words of the shop's own log."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    with RunDir(tmp_path / "run").locked("shop"):
        code = main([SCENES[0]])

    told = capsys.readouterr().err
    assert code == NOT_PLAYED
    assert "is in use by process" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_ends_its_shop(sign: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C in the middle is no reason to leave processes or files behind, nor to print a traceback."""
    with playing(None, tmp_path) as demo:
        assert demo.stdout is not None
        line = ""
        while "announced:" not in line:
            line = demo.stdout.readline()
            assert line, "the demo ended too early"
        os.kill(demo.pid, sign)
        _, complaints = demo.communicate(timeout=MOST_S)

    assert (demo.returncode, complaints) == (INTERRUPTED, "")
    assert list(tmp_path.iterdir()) == []
    assert left_behind(tmp_path) == []


INTERRUPTED_AT_ITS_WORST = """
import asyncio, collections, os, signal, sys
import demo.__main__ as program


class Interrupted(collections.deque):
    told = False

    def popleft(self):
        handle = super().popleft()
        if self.told:
            self.told = False
            signal.raise_signal(signal.SIGTERM)
        return handle


async def play(*_, **__):
    loop = asyncio.get_running_loop()
    loop._ready = Interrupted(loop._ready)
    answered = loop.create_future()

    def answer():
        answered.set_result(None)  # whoever waits for it is the next to run, and was not yet told so
        loop._ready.told = True

    loop.call_soon(answer)
    await answered
    await asyncio.sleep(60)


program._play = play
sys.exit(program.main([]))
"""


def test_a_demo_that_is_ended_while_the_loop_turns_to_its_next_step_ends(tmp_path: Path) -> None:
    """An exception raised right there loses that step, and with it who waits for it: the demo hung until killed."""
    command = [sys.executable, "-c", INTERRUPTED_AT_ITS_WORST]
    environ = environment(tmp_path) | {"TMPDIR": str(tmp_path)}
    environ.pop("DATA_DIR", None)

    played = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=MOST_S, check=False)

    assert (played.returncode, played.stderr) == (INTERRUPTED, "")
