"""Log lines of processes that share one standard error, as those of `make run` do."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Literal

import structlog

from sagastream.dev import announce
from sagastream.logs import configure
from sagastream.project import read_project
from sagastream.settings import Settings
from tests.needs import ROOT


class Shared(io.StringIO):
    """A standard error that keeps what each single write brought; another process may write between any two."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        """Keep what is written."""
        self.writes.append(text)
        return len(text)


class Full(io.StringIO):
    """A standard error on a disk that has room for half a line, until there is more again."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = True

    def write(self, text: str) -> int:
        """Take the text, or half of it."""
        super().write(text[: len(text) // 2] if self.is_full else text)
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(text)


@contextmanager
def logging_to(out: io.StringIO, form: Literal["json", "console"] = "json") -> Iterator[None]:
    """Log to this standard error around the block, one JSON object a line unless another form is asked for."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        with redirect_stderr(out):
            configure(Settings(log_format=form), "stock-service")
            yield
    finally:
        structlog.configure(**before)
        root.handlers = handlers
        root.setLevel(level)


def test_a_line_is_written_in_one_piece() -> None:
    """Else lines of two services stand glued together on one, and no program can read either."""
    out = Shared()

    with logging_to(out):
        structlog.get_logger().warning("consumer.paused", group="stock")
        logging.getLogger("elsewhere").warning("said by the standard library")

    assert [(text[:1], text[-2:]) for text in out.writes] == [("{", "}\n")] * 2


def test_work_goes_on_where_the_log_cannot_be_written() -> None:
    """Where log and store share a full disk, a consumer that says so would end, and stay away once there is room."""
    out = Full()

    with logging_to(out):
        structlog.get_logger().warning("consumer.paused", group="stock")
        out.is_full = False
        structlog.get_logger().info("consumer.resumed", group="stock")

    torn, whole = out.getvalue().splitlines()
    assert torn.startswith("{")
    assert json.loads(whole)["event"] == "consumer.resumed"


def test_a_shop_whose_output_cannot_be_written_starts_all_the_same() -> None:
    """Whoever starts it again and again after a disk was full must not wait for the disk of its log too."""
    out = Full()

    with redirect_stdout(out):
        announce(read_project(ROOT), Settings(), "http://localhost:8080", ".data")

    assert out.getvalue()


def test_what_anybody_may_send_again_and_again_is_not_logged_each_time() -> None:
    """Malformed requests, and upgrades that are not offered: a client could have its lines push out all others."""
    out = Shared()
    with logging_to(out):
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        logging.getLogger("uvicorn.error").error("Exception in ASGI application")

    assert [json.loads(line)["event"] for line in out.writes if line.strip()] == ["Exception in ASGI application"]


def test_nothing_that_is_quoted_steers_the_terminal_of_whoever_reads_the_log() -> None:
    """A path, or what an error quotes, may hold what clears a screen, draws a line of its own, or reverses one."""
    evil = "/x\x1b[2J\x9b31m\u202e\rlevel=error"
    out = Shared()
    with logging_to(out, "console"):
        structlog.get_logger().error("request.failed", path=evil, found=[evil])
        try:
            raise ValueError(f"no number: {evil}")
        except ValueError:
            structlog.get_logger().exception("request.failed", path="/y")
        logging.getLogger("somebody").error("took %s", evil)

    told = "".join(out.writes)
    assert told.count("level=error") == 4
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]", told)
    assert "Traceback" in told
    assert "\n" in told.strip()
