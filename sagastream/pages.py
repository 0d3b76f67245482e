"""Members of a sorted set page by page, the highest score first. Reads; changes nothing.

A page goes on strictly after the last member of the one before, by score and name, so members that are added
meanwhile never move what follows.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from sagastream.bus import Reply
from sagastream.reader import Reader

_CURSOR = re.compile(r"(-?\d{1,16})\.([A-Za-z0-9_-]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A member's place in a sorted set: its score, then its name."""

    score: int
    member: str

    def cursor(self) -> str:
        """Return the position as clients carry it: opaque, and safe in a URL."""
        return urlsafe_b64encode(f"{self.score}.{self.member}".encode()).decode().rstrip("=")

    @classmethod
    def of(cls, cursor: str) -> Position:
        """Return the position of a cursor.

        Raises: ``ValueError`` for text that never was one.
        """
        try:
            told = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        except ValueError:
            told = ""
        match = _CURSOR.fullmatch(told)
        if match is None:
            raise ValueError("this is no cursor; use the 'next' of the page before, unchanged")
        return cls(int(match[1]), match[2])


def _is_cursor(told: str) -> str:
    Position.of(told)
    return told


Cursor = Annotated[str, AfterValidator(_is_cursor)]
"""A cursor as clients send it: text that ``Position.of`` takes."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some members, and where to go on; None at the end."""

    members: tuple[str, ...]
    next: Position | None

    @property
    def cursor(self) -> str | None:
        """Return where to go on as clients carry it."""
        return None if self.next is None else self.next.cursor()


async def read_page(reader: Reader, key: str, cursor: str | None, limit: int) -> Page:
    """Return the members that follow a cursor, the highest score first.

    Their names must be ids (``[A-Za-z0-9_-]{1,64}``) and their scores integers.
    Raises: ``ValueError`` for text that is no cursor.
    """
    after = None if cursor is None else Position.of(cursor)
    found: list[Position] = []
    highest = "+inf" if after is None else str(after.score)
    count, offset = limit + 2, 0
    while len(found) <= limit:
        reply = await reader.command(
            "ZRANGE", reader.keys.key(key), highest, "-inf", "BYSCORE", "REV", "LIMIT", offset, count, "WITHSCORES"
        )
        chunk = list(_positions(reply))
        # Those with the very score of the position may lie before it.
        found += [position for position in chunk if after is None or position < after]
        if len(chunk) < count:
            break
        offset += count
    following = found[limit - 1] if len(found) > limit else None
    return Page(tuple(position.member for position in found[:limit]), following)


def _positions(reply: Reply) -> Iterator[Position]:
    flat = [str(value) for value in reply] if isinstance(reply, list) else []
    for member, score in zip(flat[::2], flat[1::2], strict=True):
        yield Position(int(float(score)), member)
