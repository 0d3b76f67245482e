"""What an operation of a transaction may be given. Looks at values before they are sent; sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

LARGEST = 10**15 - 1
MANY = 5_000  # elements of one operation; Lua cannot unpack much more
_MS = timedelta(milliseconds=1)
_TEXT = frozenset({str})


def small(amount: object) -> int:
    """Return an amount of at most fifteen digits.

    Raises: ``ValueError``.
    """
    if not isinstance(amount, int) or isinstance(amount, bool) or not 0 <= amount <= LARGEST:
        raise ValueError(f"an amount must be an integer between 0 and {LARGEST}, got {amount!r}")
    return amount + 0  # a member of an enumeration calls itself by its name


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
    if isinstance(value, str):
        return str.__str__(value)  # what it says, whatever an enumeration calls it
    if not isinstance(value, int):
        raise TypeError(f"expected text or a whole number for {name!r}, got {value!r}")
    return str(value if isinstance(value, bool) else value + 0)


def few(values: Sequence[object]) -> Sequence[object]:
    """Return as many values as one operation takes.

    Raises: ``ValueError`` for none and for more.
    """
    if not 1 <= len(values) <= MANY:
        raise ValueError(f"one operation takes 1 to {MANY} values, got {len(values)}")
    return values


def texts(values: Sequence[object]) -> Sequence[object]:
    """Return as many texts as one operation takes; whole numbers become text, for Lua rounds large ones.

    Raises: ``ValueError`` for none and for more, ``TypeError`` for what is no text.
    """
    return few(values) if _TEXT.issuperset(map(type, values)) else [as_name(value) for value in few(values)]


def as_name(value: object) -> str:
    """Return a text, also of a whole number.

    Raises: ``TypeError`` for anything else.
    """
    if type(value) is str:
        return value
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"expected text, got {value!r}")
    return str.__str__(value) if isinstance(value, str) else str(value + 0)


def as_ms(duration: timedelta) -> int:
    """Return a duration in whole milliseconds, one at least."""
    return max(1, duration // _MS)
