"""The parsed arguments of XREAD and XREADGROUP: for the command, and for the connection that blocks."""

from __future__ import annotations

from functools import lru_cache

from sagastream.errors import ReplyError
from sagastream.testing.memory_keyspace import Args, integer, options, syntax_error


class StreamRead:
    """What to read, from where, how much and for how long to block; for a group, its reading consumer.

    Raises: ReplyError when the arguments do not fit together.
    """

    def __init__(self, args: Args, *, of_group: bool = False) -> None:
        self.position = self.group = self.consumer = b""
        self.count: int | None = None
        self.block_ms: int | None = None
        words = options(args)
        at = 0
        while at < len(words) and words[at] != b"STREAMS":
            word, left = words[at], len(words) - at - 1
            if word == b"GROUP" and left >= 2:
                if not of_group:
                    told = "The GROUP option is only supported by XREADGROUP. You called XREAD instead."
                    raise ReplyError("ERR", told)
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
            else:
                raise syntax_error()
            at += 1
        names = args[at + 1 :]
        if at >= len(words):
            raise syntax_error()
        if not names or len(names) % 2:
            called, special = ("xreadgroup", ">") if of_group else ("xread", "$")
            raise ReplyError(
                "ERR",
                f"Unbalanced '{called}' list of streams: for each stream key an ID or '{special}' must be specified.",
            )
        self.keys = names[: len(names) // 2]
        self.ids = names[len(names) // 2 :]


@lru_cache(4096)
def group_read(args: tuple[bytes, ...]) -> StreamRead:
    """Return the parsed arguments of XREADGROUP; cached, because readers repeat the same ones."""
    return StreamRead(args, of_group=True)
