"""A window of time as clients write it: how far back from now. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=30)
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)
# ISO 8601 without years and months, which have no fixed length, and without fractions.
_DURATION = re.compile(
    r"P(?=[0-9T])(?:(?P<weeks>\d{1,9})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9})S)?)?",
    re.ASCII,
)
# The same without group names, as every reader of the OpenAPI document understands it.
_PUBLISHED = r"^P(?=[0-9T])([0-9]{1,9}W)?([0-9]{1,9}D)?(T(?=[0-9])([0-9]{1,9}H)?([0-9]{1,9}M)?([0-9]{1,9}S)?)?$"


def window(told: object) -> timedelta:
    """Return the length of a window.

    Raises: ``ValueError`` for anything that is not a duration, or is out of bounds.
    """
    text = str(told)
    parts = {"seconds": text} if _SECONDS.fullmatch(text) else None
    if match := _DURATION.fullmatch(text):
        parts = match.groupdict(default="0")
    if parts is None:
        raise ValueError("must be a duration such as PT1H or P7D (no years, no months), or seconds such as 3600")
    try:
        length = timedelta(**{unit: int(count) for unit, count in parts.items()})
    except OverflowError:
        length = timedelta.max
    if not SHORTEST <= length <= LONGEST:
        raise ValueError("must be from PT1M to P30D (60 to 2592000 seconds)")
    return length


_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": _PUBLISHED, "examples": ["PT1H", "P7D"]},
        {
            "type": "integer",
            "minimum": SHORTEST // timedelta(seconds=1),
            "maximum": LONGEST // timedelta(seconds=1),
        },
    ]
}
Window = Annotated[timedelta, BeforeValidator(window), WithJsonSchema(_SCHEMA)]
