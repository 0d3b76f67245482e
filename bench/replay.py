"""Replays a mix as fast as the server accepts it: plain sockets, encoded beforehand, a few bursts pending at once.

The only decision made here is which entries are acknowledged: those in the replies.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import hiredis

from bench.mix import Acknowledgement, Burst, Group, Mix, encoded, read

UNDER_WAY = 16  # bursts awaiting their replies: enough to keep the server busy, few enough to keep the order
_PIECE = 1 << 18
_PATIENCE_S = 30.0
# A group that already exists, or a stream that does not exist yet: start-up commands are not replayed in exact order.
_HARMLESS = ("BUSYGROUP", "ERR no such key")


class NotAsRecorded(Exception):
    """A mix had another result than in the recording; its figures mean nothing."""


@dataclass(slots=True)
class Sent:
    """The entries read and acknowledged so far."""

    read: int = 0
    acknowledged: int = 0


@dataclass(slots=True)
class _Line:
    """One connection, and the burst of each pending reply, in order."""

    wire: socket.socket
    replies: hiredis.Reader = field(default_factory=hiredis.Reader)
    waiting: deque[Burst] = field(default_factory=deque)
    answered: int = 0


class Replay:
    """Replays one mix to a server in its state before the recording; a context manager."""

    def __init__(self, mix: Mix, url: str) -> None:
        self._mix = mix
        self._server = urlsplit(url)
        self._held = ExitStack()
        self._lines: list[_Line] = []
        self._by_file: dict[int, _Line] = {}
        self._ready = select.poll()
        self._under_way = 0
        self._unacknowledged: dict[Group, deque[bytes]] = {}
        self._due: deque[Acknowledgement] = deque()
        self.sent = Sent()

    def __enter__(self) -> Replay:
        """Open the connections and prepare the server."""
        for _ in range(self._mix.links):
            wire = socket.create_connection((self._server.hostname or "", self._server.port or 0), _PATIENCE_S)
            self._held.enter_context(wire)
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = _Line(wire)
            self._lines.append(line)
            self._by_file[wire.fileno()] = line
            self._ready.register(wire, select.POLLIN)
        for command in self._mix.groundwork:
            self._send(Burst(0, command, 1, {}))
        self._receive_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._held.close()

    def play(self) -> None:
        """Send everything and wait for every reply; acknowledge every entry read.

        Raises: ``NotAsRecorded`` for a command that is refused this time, ``TimeoutError`` for a silent server.
        """
        for step in self._mix.steps:
            if isinstance(step, Acknowledgement):
                self._due.append(step)
            else:
                self._send(step)
            self._acknowledge()
            while self._under_way >= UNDER_WAY:
                self._receive()
        self._receive_all()
        self._read_the_rest()

    def _read_the_rest(self) -> None:
        """Read and acknowledge entries that were not there yet when their read was replayed."""
        self._acknowledge()
        while self._due:
            before = self.sent.read
            for look in self._mix.looks:
                self._send(look)
            self._receive_all()
            self._acknowledge()
            if self.sent.read == before and self._due:
                raise NotAsRecorded(f"{sum(due.entries for due in self._due)} entries to acknowledge are in no stream")
        self._receive_all()

    def _send(self, burst: Burst) -> None:
        line = self._lines[burst.link]
        line.waiting.append(burst)
        self._under_way += 1
        line.wire.sendall(burst.data)

    def _acknowledge(self) -> None:
        """Send the acknowledgements that are due, as far as replies have named their entries."""
        for _ in range(len(self._due)):
            due = self._due.popleft()
            known = self._unacknowledged.get(due.group, deque())
            if len(known) < due.entries:
                self._due.append(due)
                continue
            stream, group = due.group
            ids = [known.popleft() for _ in range(due.entries)]
            self.sent.acknowledged += len(ids)
            self._send(Burst(due.link, encoded([b"XACK", stream, group, *ids]), 1, {}))

    def _receive_all(self) -> None:
        while self._under_way:
            self._receive()

    def _receive(self) -> None:
        ready = self._ready.poll(_PATIENCE_S * 1000)
        if not ready:
            raise TimeoutError(f"the server said nothing for {_PATIENCE_S:g} s")
        for file, _ in ready:
            line = self._by_file[file]
            line.replies.feed(line.wire.recv(_PIECE))
            for reply in self._replies(line):
                self._take(line, reply)

    def _replies(self, line: _Line) -> Iterator[object]:
        while (reply := line.replies.gets()) is not False:
            yield reply

    def _take(self, line: _Line, reply: object) -> None:
        burst = line.waiting[0]
        if isinstance(reply, hiredis.ReplyError) and not str(reply).startswith(_HARMLESS):
            raise NotAsRecorded(str(reply))
        group = burst.reads.get(line.answered)
        if group is not None:
            for stream, ids in read(reply).items():
                self._unacknowledged.setdefault((stream, group), deque()).extend(ids)
                self.sent.read += len(ids)
        line.answered += 1
        if line.answered == burst.replies:
            line.waiting.popleft()
            line.answered = 0
            self._under_way -= 1
