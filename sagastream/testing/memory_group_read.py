"""The arguments of XREADGROUP, taken apart: for the command, and for the connection that waits for it."""

from __future__ import annotations

from functools import lru_cache

from sagastream.errors import ReplyError
from sagastream.testing.memory_keyspace import Args, integer, options, syntax_error


class GroupRead:
    """Who reads what, from where, how much and for how long.

    Raises: ReplyError when the arguments do not fit together.
    """

    def __init__(self, args: Args) -> None:
        self.position = self.group = self.consumer = b""
        self.count: int | None = None
        self.block_ms: int | None = None
        self.keeps_pending = True
        words = options(args)
        at = 0
        while at < len(words) and words[at] != b"STREAMS":
            word, left = words[at], len(words) - at - 1
            if word == b"GROUP" and left >= 2:
                self.position, self.group, self.consumer = word, args[at + 1], args[at + 2]
                at += 2
            elif word == b"COUNT" and left:
                self.count = integer(args[at + 1])
                self.count = None if self.count <= 0 else self.count
                at += 1
            elif word == b"BLOCK" and left:
                self.block_ms = integer(args[at + 1], "timeout is not an integer or out of range")
                if self.block_ms < 0:
                    raise ReplyError("ERR", "timeout is negative")
                at += 1
            elif word == b"NOACK":
                self.keeps_pending = False
            else:
                raise syntax_error()
            at += 1
        names = args[at + 1 :]
        if at >= len(words):
            raise syntax_error()
        if not names or len(names) % 2:
            raise ReplyError(
                "ERR",
                "Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
            )
        self.keys = names[: len(names) // 2]
        self.ids = names[len(names) // 2 :]


@lru_cache(4096)
def group_read(args: tuple[bytes, ...]) -> GroupRead:
    """Return the arguments taken apart; readers ask for the same again and again."""
    return GroupRead(args)
