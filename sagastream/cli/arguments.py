"""Checks of the arguments of the command `sagastream`, and their error messages."""

from __future__ import annotations

import re
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from sagastream.pages import Position

_AGO = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_EPOCH_MS = re.compile(r"\d{5,15}", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
E = TypeVar("E", bound=StrEnum)


def matching(pattern: str, what: str) -> Callable[[str], str]:
    """Return a parser that accepts only text of a pattern; ``what`` is its error message."""

    def checked(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ArgumentTypeError(f"{text!r} is {what}")
        return text

    return checked


def whole(least: int, most: int, what: str) -> Callable[[str], int]:
    """Return a parser that accepts only a number from ``least`` to ``most``; ``what`` is its error message."""

    def checked(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is {what}, {least} to {most}")
        return int(text)

    return checked


def one_of(these: Iterable[E], what: str) -> Callable[[str], E]:
    """Return a parser that accepts only one of these, in any case; ``what`` is its error message."""
    known = {one.casefold(): one for one in these}

    def checked(text: str) -> E:
        if text.casefold() not in known:
            raise ArgumentTypeError(f"{text!r} is {what}; there are {', '.join(known.values())}")
        return known[text.casefold()]

    return checked


saga_id = matching(r"[A-Za-z0-9_-]{1,64}", "no saga's id")
limit = whole(1, 200, "no number of lines")


def instant(text: str, now_ms: int | None = None) -> int:
    """Return the epoch milliseconds of an instant, or of a time that long ago.

    Raises: ``ArgumentTypeError``.
    """
    ago = _AGO.fullmatch(text)
    if ago:
        now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        return now_ms - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) // timedelta(milliseconds=1)
    if _EPOCH_MS.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ArgumentTypeError(
            f"{text!r} is neither an instant with its zone (2026-01-31T12:00:00Z), nor milliseconds since 1970, "
            "nor so long ago (15m)"
        )
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def cursor(text: str) -> Position:
    """Return the position of a cursor.

    Raises: ``ArgumentTypeError`` for text that is not a cursor.
    """
    try:
        return Position.of(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
