"""Find where in a user's code an error came from. Returns file and line only: other details may be personal data."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from types import CodeType


def line_of(function: Callable[..., object], error: BaseException) -> str:
    """Return ``file:line`` of the innermost traceback frame in the function's own file.

    If the traceback has no frame in that file, return the line where the function is defined; return an empty text if
    the function has no source.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if not isinstance(code, CodeType):
        return ""
    file, line = code.co_filename, code.co_firstlineno
    for frame, at in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            line = at
    return f"{file}:{line}"
