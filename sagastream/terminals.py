"""Escape the characters that control a terminal. Pure."""

from __future__ import annotations

import re

# Text from customers and services must neither control an operator's terminal nor look like a line of ours.
_STEERING = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Return a text with control characters escaped such that JSON keeps its meaning."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def harmless_lines(text: str) -> str:
    """Return a text of several lines with control characters escaped, except line breaks."""
    return "\n".join(map(harmless, text.split("\n")))
