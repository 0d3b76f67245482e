"""What must not reach a terminal as it is: characters that steer it. Pure."""

from __future__ import annotations

import re

# What customers and services word must not steer the terminal of whoever looks, nor look like a line of ours.
_STEERING = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Return a text with what steers terminals spelled out, in a way that JSON stays the same JSON."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def harmless_lines(text: str) -> str:
    """Return a text of several lines so; they stay lines."""
    return "\n".join(map(harmless, text.split("\n")))
