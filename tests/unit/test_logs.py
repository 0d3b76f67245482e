"""Log lines of processes that share one standard error, as those of `make run` do."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr

import structlog

from sagastream.logs import configure
from sagastream.settings import Settings


class Shared(io.StringIO):
    """A standard error that keeps what each single write brought; another process may write between any two."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        """Keep what is written."""
        self.writes.append(text)
        return len(text)


def test_a_line_is_written_in_one_piece() -> None:
    """Else lines of two services stand glued together on one, and no program can read either."""
    before, root, out = structlog.get_config(), logging.getLogger(), Shared()
    handlers, level = root.handlers, root.level
    try:
        with redirect_stderr(out):
            configure(Settings(log_format="json"), "stock-service")
            structlog.get_logger().warning("consumer.paused", group="stock")
            logging.getLogger("elsewhere").warning("said by the standard library")
    finally:
        structlog.configure(**before)
        root.handlers = handlers
        root.setLevel(level)

    assert [(text[:1], text[-2:]) for text in out.writes] == [("{", "}\n")] * 2
