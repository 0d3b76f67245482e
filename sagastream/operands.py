"""Check the values given to a transaction's operations before they are sent. Sends nothing."""

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
    return amount + 0  # a plain int: an enumeration's member prints its name


def as_score(score: object) -> str:
    """Return a score as the server reads it.

    Raises: ``ValueError`` for a score that a double cannot hold.
    """
    if not isinstance(score, int) or abs(score) > 2**53:
        raise ValueError(f"a score must be an integer that a double can hold, got {score!r}")
    return str(score + 0)  # a plain int: a bool prints its name


def as_text(value: object) -> str:
    """Return ``value`` if it is a text.

    Raises: ``TypeError`` for anything else.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def as_told(name: str, value: object) -> str:
    """Return a field's value as it is stored.

    Raises: ``TypeError`` for a value that a hash would not return unchanged.
    """
    if isinstance(value, str):
        return str.__str__(value)  # the text itself, even if an enumeration's member prints otherwise
    if not isinstance(value, int):
        raise TypeError(f"expected text or a whole number for {name!r}, got {value!r}")
    return str(value if isinstance(value, bool) else value + 0)


def few(values: Sequence[object]) -> Sequence[object]:
    """Return ``values`` if one operation takes as many.

    Raises: ``ValueError`` for none, and for more than ``MANY``.
    """
    if not 1 <= len(values) <= MANY:
        raise ValueError(f"one operation takes 1 to {MANY} values, got {len(values)}")
    return values


def texts(values: Sequence[object]) -> Sequence[object]:
    """Return ``values`` as texts if one operation takes as many; Lua rounds large numbers, so they become text.

    Raises: ``ValueError`` for none, and for more than ``MANY``; ``TypeError`` for values that are no texts.
    """
    return few(values) if _TEXT.issuperset(map(type, values)) else [as_name(value) for value in few(values)]


def as_name(value: object) -> str:
    """Return a text or a whole number as text.

    Raises: ``TypeError`` for anything else.
    """
    if type(value) is str:
        return value
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"expected text, got {value!r}")
    return str.__str__(value) if isinstance(value, str) else str(value + 0)


def as_ms(duration: timedelta) -> int:
    """Return a duration in whole milliseconds, at least one."""
    return max(1, duration // _MS)
