"""Personal data that can be told by its form: e-mail addresses and the numbers of payment cards. Pure.

Whatever leaves for logs, reasons, a terminal or whoever looks at messages passes here. Not promised: names and postal
addresses have no form, so they are kept out by never being written there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

MASK = "***"
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]"
# From where such characters begin, so that a long run of them is looked at once only.
_EMAIL = re.compile(rf"(?<!{_LOCAL}){_LOCAL}++@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
# In one piece, or in groups as they are printed on cards; never a part of an id, as the n of an escaped line is none.
_CARD = re.compile(
    r"(?:(?<![\w-])|(?<=\\[nrt]))[2-6]"
    r"(?:\d{13,18}|\d{3}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{3}([ -])\d{6}\2\d{5})(?![\w-])"
)
# With or without its end, so that what is never closed is looked at once only, too.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def masked(text: str) -> str:
    """Return a text without e-mail addresses and card numbers."""
    if "@" in text:
        text = _EMAIL.sub(MASK, text)
    return _CARD.sub(lambda found: MASK if _checks(found[0]) else found[0], text)


def legible(text: str) -> str:
    """Return a text of whole characters, as answers must be: bytes that were none are shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


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


def masked_message(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a message masked; ``data`` is its payload, in which no way of escaping hides anything."""
    return {name: masked_json(text) if name == "data" else masked(text) for name, text in fields.items()}


def masked_json(text: str) -> str:
    """Return JSON with each of its strings masked as what it says; what is no JSON is masked as it stands."""
    return masked(_QUOTED.sub(lambda found: _masked_string(found[0]), text))


def _masked_string(quoted: str) -> str:
    try:
        told = json.loads(quoted, strict=False)
    except ValueError:
        return quoted
    shown = masked(told)
    return quoted if shown == told else json.dumps(shown)


def _checks(text: str) -> bool:
    """Tell whether the last digit is the check digit of the others (Luhn)."""
    digits = [int(digit) for digit in text if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
