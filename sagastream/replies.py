"""Read the server's replies: elements, names and values, scores, stream entries. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sagastream.bus import Reply
from sagastream.envelope import pairs
from sagastream.errors import ReplyError

EntryId = tuple[int, int]  # when the server stored the entry (epoch ms), and its number at that instant


def sound(reply: Reply | ReplyError) -> Reply:
    """Return the reply to a command of a pipeline.

    Raises: ``ReplyError`` if the command was refused.
    """
    if isinstance(reply, ReplyError):
        raise reply
    return reply


def listed(reply: Reply | ReplyError) -> list[Reply]:
    """Return the elements of a list, none for any other reply or an error."""
    return reply if isinstance(reply, list) else []


def texts(reply: Reply | ReplyError) -> list[str]:
    """Return the elements of a list as texts."""
    return [str(value) for value in listed(reply)]


def values(reply: Reply | ReplyError) -> list[str | None]:
    """Return the elements of a list as texts, None for each that is absent."""
    return [None if value is None else str(value) for value in listed(reply)]


def named(reply: Reply | ReplyError) -> dict[str, str]:
    """Return a list of names and values as a mapping; an absent value is empty."""
    return pairs(["" if value is None else str(value) for value in listed(reply)])


def scores(reply: Reply | ReplyError) -> list[int | None]:
    """Return the score of each requested member, None for each that is absent."""
    return [None if score is None else int(float(str(score))) for score in listed(reply)]


def scored(reply: Reply | ReplyError) -> list[tuple[str, int]]:
    """Return the members of a sorted set with their scores."""
    flat = texts(reply)
    return list(zip(flat[::2], (int(float(score)) for score in flat[1::2]), strict=True))


def entries(reply: Reply | ReplyError) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield id and fields of each stream entry that still exists."""
    for entry in listed(reply):
        if isinstance(entry, list) and isinstance(entry[1], list):
            yield str(entry[0]), named(entry[1])


def entry_id(id: Reply) -> EntryId:
    """Return an entry's id in a form that can be compared."""
    ms, _, number = str(id).partition("-")
    return int(ms), int(number or 0)


def taken_ms(id: Reply) -> int:
    """Return when the server stored an entry (epoch ms)."""
    return entry_id(id)[0]
