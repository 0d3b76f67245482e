"""Read members of sorted sets page by page, highest or lowest score first. Changes nothing.

A page begins strictly after the last member of the page before, by score and name, so members added meanwhile never
shift the following pages.
"""

from __future__ import annotations

import asyncio
import operator
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from sagastream.bus import Reply
from sagastream.reader import Reader
from sagastream.replies import texts

_CURSOR = re.compile(r"(-?\d{1,16})\.([A-Za-z0-9_-]{1,64})", re.ASCII)


class Position(NamedTuple):
    """A member's place in a sorted set: its score, then its name. A tuple, because many are made and compared."""

    score: int
    member: str

    def cursor(self) -> str:
        """Return the position as an opaque, URL-safe text for clients."""
        return urlsafe_b64encode(f"{self.score}.{self.member}".encode()).decode().rstrip("=")

    @classmethod
    def of(cls, cursor: str) -> Position:
        """Return the position of a cursor.

        Raises: ``ValueError`` for text that is no cursor.
        """
        try:
            told = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        except ValueError:
            told = ""
        match = _CURSOR.fullmatch(told)
        if match is None:
            raise ValueError("this is no cursor; use the 'next' of the page before, unchanged")
        return cls(int(match[1]), match[2])


EXAMPLE_CURSOR = Position(1769860800541, "388292668e9a475180f2f4ab76ae0a0a").cursor()
"""A cursor for examples in documents."""


def _is_cursor(told: str) -> str:
    Position.of(told)
    return told


Cursor = Annotated[str, AfterValidator(_is_cursor)]
"""A cursor as clients send it: text that ``Position.of`` accepts."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some members, and the position after which the next page begins; None at the end."""

    members: tuple[str, ...]
    next: Position | None

    @property
    def cursor(self) -> str | None:
        """Return the cursor of the next page, None at the end."""
        return None if self.next is None else self.next.cursor()


async def read_page(reader: Reader, key: str, cursor: str | None, limit: int) -> Page:
    """Return the members that follow a cursor, the highest score first.

    Their names must be ids (``[A-Za-z0-9_-]{1,64}``) and their scores integers.
    Raises: ``ValueError`` for text that is no cursor.
    """
    at = None if cursor is None else Position.of(cursor)
    found: list[Position] = []
    is_more = True
    while is_more and len(found) <= limit:
        chunk, is_more = await following(reader, [key], at, limit + 1)
        found += chunk
        at = chunk[-1] if chunk else at
    return Page(tuple(position.member for position in found[:limit]), found[limit - 1] if len(found) > limit else None)


async def following(
    reader: Reader,
    keys: Sequence[str],
    after: Position | None,
    count: int,
    *,
    lowest: int | None = None,
    highest: int | None = None,
    lowest_first: bool = False,
) -> tuple[list[Position], bool]:
    """Return the members of several sets, merged, that follow a position, and whether there are more.

    No member may be in two of the sets. About ``count`` members are returned, none only if none follow. ``lowest`` and
    ``highest`` limit their scores, both included.
    """
    if not keys:
        return [], False
    if after is not None and lowest_first:
        lowest = after.score if lowest is None else max(after.score, lowest)
    elif after is not None:
        highest = after.score if highest is None else min(after.score, highest)
    low = "-inf" if lowest is None else str(lowest)
    high = "+inf" if highest is None else str(highest)
    span = (low, high, "BYSCORE") if lowest_first else (high, low, "BYSCORE", "REV")
    comes_before = operator.lt if lowest_first else operator.gt
    share = count // min(len(keys), 2) + 1  # one set rarely holds nearly all members
    each = await asyncio.gather(*(_following(reader, key, after, share, span, comes_before) for key in keys))
    if len(each) == 1:
        return each[0]
    # The members beyond the end of a set's chunk are unknown, so members of other sets that come after it must wait.
    ends = sorted((chunk[-1] for chunk, is_more in each if is_more), reverse=not lowest_first)
    merged = (position for chunk, _ in each for position in chunk if not ends or not comes_before(ends[0], position))
    return sorted(merged, reverse=not lowest_first), bool(ends)


async def _following(
    reader: Reader,
    key: str,
    after: Position | None,
    count: int,
    span: tuple[str, ...],
    comes_before: Callable[[Position, Position], bool],
) -> tuple[list[Position], bool]:
    offset = 0
    while True:
        reply = await reader.command("ZRANGE", reader.keys.key(key), *span, "LIMIT", offset, count, "WITHSCORES")
        chunk = _positions(reply)
        # Members with the same score as the position may come before it.
        fresh = chunk if after is None else list(dropwhile(lambda found: not comes_before(after, found), chunk))
        if fresh or len(chunk) < count:
            return fresh, len(chunk) == count
        offset += count


def _positions(reply: Reply) -> list[Position]:
    flat = texts(reply)
    try:
        scores = list(map(int, flat[1::2]))
    except ValueError:  # so large that the server writes it with an exponent
        scores = [int(float(score)) for score in flat[1::2]]
    return list(map(Position._make, zip(scores, flat[::2], strict=True)))
