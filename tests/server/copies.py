"""A day of a shop, copied many times onto a real server: every key, every event, other ids and later instants.

What is copied was written by the engine itself; copying is only faster than playing. All that differs between two
copies has a fixed width, so a copy is one template of bytes with its ids and instants filled in.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from sagastream.envelope import epoch_ms, flattened, instant
from sagastream.replies import entries, listed, named, texts
from sagastream.testing.memory_server import MemoryServer

STEP_MS = 50  # between the starts of two copies
_VARIES = re.compile(rb"[0-9a-f]{32}|\b1767\d{9}\b|\b2026-01-01T\d\d:\d\d:\d\d\.\d{3}Z")
Command = tuple[str, ...]


class Original:
    """One saga and its order, as the commands that would write them."""

    def __init__(self, server: MemoryServer, prefix: str, saga_id: str, order_id: str) -> None:
        self._server = server
        commands = list(self._commands(prefix, saga_id, order_id))
        whole = b"".join(map(resp, commands))
        instants = sorted({_ms(found) for found in _VARIES.findall(whole) if len(found) != 32})
        self._rank = {ms: at for at, ms in enumerate(instants)}
        self._parts = _VARIES.split(whole)
        self._varying = _VARIES.findall(whole)
        assert len(instants) < STEP_MS

    def copy(self, number: int, start_ms: int) -> bytes:
        """Return the commands that write one copy; its instants are a millisecond apart, from the start on."""
        suffix = b"%08x" % number
        told = {}
        for ms, at in self._rank.items():
            told[ms] = (str(start_ms + at).encode(), instant(start_ms + at).encode())
        filled = [self._parts[0]]
        for token, part in zip(self._varying, self._parts[1:], strict=True):
            if len(token) == 32:
                filled.append(token[:24] + suffix)
            else:
                filled.append(told[_ms(token)][len(token) > 13])
            filled.append(part)
        return b"".join(filled)

    def _commands(self, prefix: str, saga_id: str, order_id: str) -> Iterator[Command]:
        mine = {saga_id, order_id}
        entries: list[tuple[str, Command]] = []
        for key in texts(self._server.call("KEYS", f"{prefix}*")):
            match self._server.call("TYPE", key):
                case "hash" if key.rpartition(":")[2] in mine:
                    yield ("HSET", key, *texts(self._server.call("HGETALL", key)))
                case "list" if key.rpartition(":")[2] in mine:
                    yield ("RPUSH", key, *texts(self._server.call("LRANGE", key, 0, -1)))
                case "zset":
                    for member in mine:
                        score = self._server.call("ZSCORE", key, member)
                        if score is not None:
                            yield ("ZADD", key, str(int(float(str(score)))), member)
                case "stream":
                    entries += self._entries(key, saga_id)
        for _, command in sorted(entries):
            yield command

    def _entries(self, key: str, saga_id: str) -> Iterator[tuple[str, Command]]:
        for place, fields in entries(self._server.call("XRANGE", key, "-", "+")):
            if fields.get("correlationid") == saga_id:
                # An entry's place says the instant of its event: the copies of one stream stay in order.
                yield place, ("XADD", key, f"{epoch_ms(fields['time'])}-*", *flattened(fields))


def groups(server: MemoryServer, prefix: str) -> list[Command]:
    """Return the commands that make every group, as one that has read everything."""
    found: list[Command] = []
    for key in texts(server.call("KEYS", f"{prefix}*")):
        if server.call("TYPE", key) == "stream":
            for group in map(named, listed(server.call("XINFO", "GROUPS", key))):
                found.append(("XGROUP", "CREATE", key, group["name"], "$", "MKSTREAM"))
    return found


class Pipe:
    """A connection that sends without asking for answers, until it is closed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60)
        self._socket.sendall(resp(("CLIENT", "REPLY", "OFF")))

    def send(self, blob: bytes) -> None:
        """Send commands."""
        self._socket.sendall(blob)

    def close(self) -> None:
        """Wait until everything was executed."""
        self._socket.sendall(resp(("CLIENT", "REPLY", "ON")))
        assert self._socket.recv(64) == b"+OK\r\n"
        self._socket.close()


def resp(words: Sequence[str]) -> bytes:
    """Return a command as it travels."""
    told = [word.encode() for word in words]
    return b"*%d\r\n" % len(told) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in told)


def _ms(token: bytes) -> int:
    return int(token) if len(token) == 13 else epoch_ms(token.decode())
