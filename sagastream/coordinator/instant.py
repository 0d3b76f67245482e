"""An instant as clients write it: with its offset, or in milliseconds since 1970. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_EPOCH_MS = re.compile(r"\d{1,15}", re.ASCII)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def epoch_ms(told: object) -> int:
    """Return epoch milliseconds.

    Raises: ``ValueError`` for anything that is not an instant, or has no offset.
    """
    text = str(told)
    if _EPOCH_MS.fullmatch(text):
        return int(text)
    # A plus sign that was not escaped arrives as a space.
    text = re.sub(r" (\d\d:\d\d)$", r"+\1", text)
    text = text.upper()  # RFC 3339 also allows t and z
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("must be an instant such as 2026-01-31T12:00:00Z, or milliseconds since 1970")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


_MS = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
_SCHEMA = {"anyOf": [{"type": "string", "format": "date-time"}, _MS]}
Instant = Annotated[int, BeforeValidator(epoch_ms), WithJsonSchema(_SCHEMA)]
