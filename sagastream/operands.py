"""What an operation of a transaction may be given. Looks at values before they are sent; sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

LARGEST = 10**15 - 1
MANY = 5_000  # elements of one operation; Lua cannot unpack much more
_MS = timedelta(milliseconds=1)
_SCALARS = frozenset({str, int})


def small(amount: object) -> int:
    """Return an amount of at most fifteen digits.

    Raises: ``ValueError``.
    """
    if not isinstance(amount, int) or not 0 <= amount <= LARGEST:
        raise ValueError(f"an amount must be an integer between 0 and {LARGEST}, got {amount!r}")
    return amount


def as_score(score: object) -> str:
    """Return a score as the server reads it.

    Raises: ``ValueError`` for one that a double cannot hold.
    """
    if not isinstance(score, int) or abs(score) > 2**53:
        raise ValueError(f"a score must be an integer that a double can hold, got {score!r}")
    return str(score + 0)  # a bool is a number as well


def as_text(value: object) -> str:
    """Return a text.

    Raises: ``TypeError`` for anything else.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def as_told(name: str, value: object) -> str:
    """Return a field's value as it is stored.

    Raises: ``TypeError`` for what a hash cannot give back as what it was.
    """
    if not isinstance(value, str | int):
        raise TypeError(f"expected text or a whole number for {name!r}, got {value!r}")
    return str(value)


def few(values: Sequence[object]) -> Sequence[object]:
    """Return as many texts as one operation takes.

    Raises: ``ValueError`` for none and for more, ``TypeError`` for what is no text.
    """
    if not 1 <= len(values) <= MANY:
        raise ValueError(f"one operation takes 1 to {MANY} values, got {len(values)}")
    if not _SCALARS.issuperset(map(type, values)):
        for value in values:
            if not isinstance(value, (str, int)):
                raise TypeError(f"expected text, got {value!r}")
    return values


def as_ms(duration: timedelta) -> int:
    """Return a duration in whole milliseconds, one at least."""
    return max(1, duration // _MS)
