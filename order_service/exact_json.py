"""Reads a JSON body without loss: numbers keep their literal, and ambiguous JSON is refused.

Decides nothing about orders. Exists because the standard parser turns 299.98 into a ``float``, accepts ``NaN``
and silently keeps the last of two equal names.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as it was written."""

    literal: str


class NotExactJson(ValueError):
    """A body that is not one unambiguous JSON value in UTF-8; the message says why."""


def parse(body: bytes) -> object:
    """Return the value of a JSON text: dict, list, str, bool, None, or ``Number``.

    Raises: ``NotExactJson``.
    """
    try:
        text = body.decode("utf-8")
        value: object = json.loads(
            text,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
        if "\\u" in text:  # only an escape can bring in half a surrogate pair, which no answer could encode
            json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeDecodeError as error:
        raise NotExactJson(f"the body is not UTF-8 (byte {error.start})") from None
    except UnicodeEncodeError:
        raise NotExactJson("the body holds half a surrogate pair, which is not Unicode") from None
    except json.JSONDecodeError as error:
        raise NotExactJson(f"the body is not JSON: {error.msg} (character {error.pos})") from None
    except RecursionError:
        raise NotExactJson("the body is nested too deeply") from None
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise NotExactJson(f"the name {twice[:64]!r} stands twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise NotExactJson(f"{name} is not a JSON number")
