"""Pages of a sorted set hold every member once, whatever its score and whatever is added meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sagastream.keys import Keys
from sagastream.pages import Position, following, read_page
from sagastream.reader import Reader
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer


def reader_of(members: dict[str, int]) -> Reader:
    """Return a reader of a server that holds these under ``set``."""
    server = MemoryServer(lambda: 0)
    for member, score in members.items():
        server.call("ZADD", "p:{o}:set", score, member)
    return Reader(MemoryConnection(server), Keys("p:", "o"))


async def all_pages(reader: Reader, limit: int) -> list[str]:
    """Return the members of all pages."""
    found: list[str] = []
    cursor = None
    while True:
        page = await read_page(reader, "set", cursor, limit)
        assert len(page.members) <= limit
        found += page.members
        cursor = page.cursor
        if cursor is None:
            return found


@given(
    st.dictionaries(st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True), st.integers(-3, 3), max_size=30),
    st.integers(1, 7),
)
async def test_every_member_comes_once_the_highest_score_first(members: dict[str, int], limit: int) -> None:
    """Also where many share a score, and the last page says that it is the last."""
    expected = [member for _, member in sorted(((score, member) for member, score in members.items()), reverse=True)]

    assert await all_pages(reader_of(members), limit) == expected


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True),
        st.tuples(st.integers(-3, 3), st.integers(0, 2)),
        max_size=40,
    ),
    st.integers(1, 5),
    st.integers(-3, 3),
    st.integers(0, 4),
    st.booleans(),
)
@example({"a": (2, 0), "b": (1, 0), "c": (0, 1)}, 1, 0, 2, False)
@example({"a": (0, 0), "b": (1, 0), "c": (2, 1)}, 1, 0, 2, True)
async def test_several_sets_are_walked_as_if_they_were_one(
    members: dict[str, tuple[int, int]], count: int, lowest: int, width: int, lowest_first: bool
) -> None:
    """Whichever set runs out first, wherever a chunk is cut off, and from either end."""
    server = MemoryServer(lambda: 0)
    for member, (score, of) in members.items():
        server.call("ZADD", f"p:{{o}}:set-{of}", score, member)
    reader = Reader(MemoryConnection(server), Keys("p:", "o"))
    highest = lowest + width
    within = [Position(score, member) for member, (score, _) in members.items() if lowest <= score <= highest]

    found: list[Position] = []
    is_more = True
    while is_more:
        chunk, is_more = await following(
            reader, ["set-0", "set-1", "set-2"], found[-1] if found else None, count,
            lowest=lowest, highest=highest, lowest_first=lowest_first,
        )  # fmt: skip
        assert chunk or not is_more
        found += chunk

    assert found == sorted(within, reverse=not lowest_first)


async def test_a_page_that_is_just_full_has_no_successor() -> None:
    """No client is sent for an empty page."""
    page = await read_page(reader_of({"a": 1, "b": 2}), "set", None, 2)

    assert (page.members, page.cursor) == (("b", "a"), None)


def test_a_cursor_is_a_position_and_safe_in_a_url() -> None:
    """Whatever the score and the id."""
    for position in (Position(-1, "a"), Position(1_700_000_000_000, "x" * 64), Position(0, "_-")):
        cursor = position.cursor()
        assert Position.of(cursor) == position
        assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("cursor", ["", "zzz", "ä", "MS5h" * 40, "LmE", "MS4", "=", "1.a"])
def test_text_that_never_was_a_cursor_is_refused(cursor: str) -> None:
    """With words that tell what to do."""
    with pytest.raises(ValueError, match="use the 'next' of the page before"):
        Position.of(cursor)
