"""Personal data that can be told by its form: e-mail addresses and the numbers of payment cards. Pure.

Whatever leaves for logs, reasons or a terminal passes here. Not promised: names and postal addresses have no form, so
they are kept out by never being written there.
"""

from __future__ import annotations

import re

MASK = "***"
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
# In one piece, or in groups as they are printed on cards; never a part of an id.
_CARD = re.compile(r"(?<![\w-])[2-6](?:\d{13,18}|\d{3}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{3}([ -])\d{6}\2\d{5})(?![\w-])")


def masked(text: str) -> str:
    """Return a text without e-mail addresses and card numbers."""
    if "@" in text:
        text = _EMAIL.sub(MASK, text)
    return _CARD.sub(lambda found: MASK if _checks(found[0]) else found[0], text)


def masked_all(value: object) -> object:
    """Return a value of lists, mappings and texts with every text masked."""
    match value:
        case str():
            return masked(value)
        case dict():
            return {name: masked_all(each) for name, each in value.items()}
        case list() | tuple():
            return [masked_all(each) for each in value]
        case int() | float() | None:
            return value
        case _:
            return masked(str(value))


def _checks(text: str) -> bool:
    """Tell whether the last digit is the check digit of the others (Luhn)."""
    digits = [int(digit) for digit in text if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
