"""Configure how a process logs: events with fields, to standard error. Does not decide what is logged."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from io import StringIO
from typing import TextIO

import structlog
from structlog.typing import ExcInfo, Processor

from sagastream.masking import masked, masked_all
from sagastream.settings import Settings
from sagastream.terminals import harmless, harmless_lines

_QUIET = ("uvicorn", "aiohttp", "httpx", "httpcore", "apscheduler", "asyncio")


def configure(settings: Settings, service: str | None = None) -> None:
    """Send structlog and the standard library's records through one formatter to standard error.

    ``service`` is added to every line. Third-party libraries are logged from ``WARNING`` on.
    """
    level = logging.getLevelNamesMapping()[settings.log_level]
    said_by: Mapping[str, str] = {"service": service} if service else {}

    def name_service(_: object, __: str, line: MutableMapping[str, object]) -> Mapping[str, object]:
        return {**line, **{key: value for key, value in said_by.items() if key not in line}}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        name_service,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if settings.log_format == "json" else "%H:%M:%S"),
    ]
    last = _last_steps(settings)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(_Enduring(sys.stderr)),  # type: ignore[arg-type]  # all it calls
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, *last]))
    logging.getLogger().handlers = [handler]
    logging.getLogger().setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    # uvicorn warns of every malformed request and every unsupported upgrade, which anybody may send.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    # APScheduler warns of every tick that finds the previous one still running, which is normal for a busy ticker.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


class _Enduring:
    """A file whose writes never fail: text that cannot be written (full disk, closed pipe) is dropped.

    Work must not end because it cannot be logged. A line is one write, also if processes share the file.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._is_torn = False

    def write(self, text: str) -> None:
        """Write a text, on a new line if the previous text may have been written only in part."""
        torn, self._is_torn = self._is_torn, True
        with suppress(OSError):
            self._file.write("\n" + text if torn else text)
            self._file.flush()
            self._is_torn = False

    def flush(self) -> None:
        """Do nothing: each write is flushed."""


def _masking(_: object, __: str, line: MutableMapping[str, object]) -> Mapping[str, object]:
    """Mask personal data in every line, since errors may quote what customers sent."""
    return {name: masked_all(value) for name, value in line.items()}


def _traceback(out: TextIO, told: ExcInfo) -> None:
    """Write a plain traceback: richer ones print local variables, which may hold personal data."""
    plain = StringIO()
    structlog.dev.plain_traceback(plain, told)
    out.write(harmless_lines(plain.getvalue()))


def _last_steps(settings: Settings) -> list[Processor]:
    if settings.log_format == "json":
        json = structlog.processors.JSONRenderer(default=str)
        return [structlog.processors.format_exc_info, _masking, json]
    lines = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24, exception_formatter=_traceback)

    def drawn(logger: object, method: str, line: MutableMapping[str, object]) -> str:
        told = {name: harmless(value) if isinstance(value, str) else value for name, value in line.items()}
        return masked(lines(logger, method, told))  # including text that an exception quotes

    return [drawn]
