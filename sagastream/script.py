"""Run this package's scripts on the server: by digest, or as a whole if the server does not know them (yet)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files

from sagastream.bus import Argument, Connection, Reply
from sagastream.errors import ReplyError


class Script:
    """One script and its digest."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    async def run(self, connection: Connection, keys: Sequence[str], *arguments: Argument) -> Reply:
        """Run the script and return its reply.

        Raises: ``ReplyError``; ``ServerUnavailable``, after which the script may or may not have run.
        """
        try:
            return await connection.execute("EVALSHA", self._sha, len(keys), *keys, *arguments)
        except ReplyError as error:
            if error.code != "NOSCRIPT":
                raise
        return await connection.execute("EVAL", self.source, len(keys), *keys, *arguments)


@cache
def packaged(file: str) -> Script:
    """Return a script of this package."""
    return Script(files("sagastream").joinpath(file).read_text("utf-8"))
