"""Mask personal data recognisable by its form: e-mail addresses and payment card numbers. Pure.

Every text for logs, reasons, terminals or views of messages passes here. Not promised: names and postal addresses have
no such form, so code must never write them there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

MASK = "***"
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]"
# Anchored at the first such character, so that a long run of them is scanned only once.
_EMAIL = re.compile(rf"(?<!{_LOCAL}){_LOCAL}++@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
# Digits in one piece, or in groups as printed on cards; never inside an id (the n of an escaped line break is no id).
_CARD = re.compile(
    r"(?:(?<![\w-])|(?<=\\[nrt]))[2-6]"
    r"(?:\d{13,18}|\d{3}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{3}([ -])\d{6}\2\d{5})(?![\w-])"
)
# With or without its closing quote, so that an unclosed string is also scanned only once.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def masked(text: str) -> str:
    """Return a text without e-mail addresses and card numbers."""
    if "@" in text:
        text = _EMAIL.sub(MASK, text)
    return _CARD.sub(lambda found: MASK if _checks(found[0]) else found[0], text)


def legible(text: str) -> str:
    """Return a text of valid characters only, as answers need; invalid bytes become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def masked_all(value: object) -> object:
    """Return a value with every text in it masked, also within lists and mappings."""
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
    """Return the fields of a message masked; escapes in its JSON payload ``data`` hide nothing from masking."""
    return {name: masked_json(text) if name == "data" else masked(text) for name, text in fields.items()}


def masked_json(text: str) -> str:
    """Return JSON with each string masked after unescaping it; text that is no JSON is masked as it is."""
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
