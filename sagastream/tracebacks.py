"""Where in a user's code an error came from. Tells file and line only: source and values may be personal data."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from types import CodeType


def line_of(function: Callable[..., object], error: BaseException) -> str:
    """Return ``file:line`` of the last step in the function's own file on the way to the error.

    Where the error passed no line of that file, it is the line where the function is written; empty for one that
    has no source.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if not isinstance(code, CodeType):
        return ""
    file, line = code.co_filename, code.co_firstlineno
    for frame, at in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            line = at
    return f"{file}:{line}"
