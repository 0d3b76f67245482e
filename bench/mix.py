"""The command mix of sagas, derived from a recording: what is replayed, in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import hiredis

from bench.relay import Exchange, Recording

Group: TypeAlias = tuple[bytes, bytes]  # a stream and the group that reads it
_NOT_OF_SAGAS = frozenset({"HELLO", "CLIENT", "AUTH", "SELECT", "PING", "INFO", "CONFIG", "COMMAND"})


@dataclass(frozen=True, slots=True)
class Burst:
    """Commands sent together over one connection, encoded; ``reads`` are the positions of group reads."""

    link: int
    data: bytes
    replies: int
    reads: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The acknowledgement of a number of read entries over this connection."""

    link: int
    group: Group
    entries: int


Step: TypeAlias = Burst | Acknowledgement


@dataclass(frozen=True, slots=True)
class Mix:
    """The commands to replay, those that prepare the server, and a read per group for entries left at the end."""

    groundwork: tuple[bytes, ...]
    steps: tuple[Step, ...]
    looks: tuple[Burst, ...]
    commands: int
    entries: int

    @property
    def links(self) -> int:
        """Return the number of connections it needs."""
        return 1 + max(step.link for step in self.steps)


def mixed(recording: Recording) -> Mix:
    """Return the mix of a recording, without connection set-up and without reads that found nothing."""
    sent = [exchange for exchange in recording.in_order() if _belongs(exchange)]
    groundwork = dict.fromkeys(encoded(command) for each in sent for command in _groundwork(each.command))
    sent = [exchange for exchange in sent if exchange.name != "XGROUP"]
    steps: list[Step] = []
    # Consecutive commands of one connection were sent together, or could have been.
    for (link, is_acknowledging), run in groupby(sent, key=lambda each: (each.link, each.name == "XACK")):
        exchanges = list(run)
        steps += map(_acknowledgement, exchanges) if is_acknowledging else [_burst(link, exchanges)]
    entries = sum(len(found) for each in sent if each.name == "XREADGROUP" for found in read(each.reply).values())
    looks = {each.command[2]: _burst(each.link, [each]) for each in sent if each.name == "XREADGROUP"}
    return Mix(tuple(groundwork), tuple(steps), tuple(looks.values()), len(sent), entries)


def read(reply: object) -> dict[bytes, list[bytes]]:
    """Return the entry ids of a group read's reply, by stream."""
    parts = reply if isinstance(reply, list) else []
    return {stream: [entry[0] for entry in entries] for stream, entries in parts if entries}


def encoded(command: Sequence[bytes]) -> bytes:
    """Return a command as the bytes sent to the server."""
    parts = [b"*%d\r\n" % len(command)]
    for part in command:
        parts += (b"$%d\r\n" % len(part), part, b"\r\n")
    return b"".join(parts)


def _belongs(exchange: Exchange) -> bool:
    if exchange.name in _NOT_OF_SAGAS:
        return False
    if exchange.name == "XREADGROUP":
        return bool(read(exchange.reply))
    # An unknown script is sent again with its text; in a replay all scripts are loaded at the start.
    return not (isinstance(exchange.reply, hiredis.ReplyError) and str(exchange.reply).startswith("NOSCRIPT"))


def _groundwork(command: list[bytes]) -> list[list[bytes]]:
    """Return the commands that must precede a command: load its script, create its group."""
    if command[0].upper() == b"EVAL":
        return [[b"SCRIPT", b"LOAD", command[1]]]
    return [command] if command[0].upper() == b"XGROUP" else []


def _acknowledgement(exchange: Exchange) -> Acknowledgement:
    _, stream, group, *ids = exchange.command
    return Acknowledgement(exchange.link, (stream, group), len(ids))


def _burst(link: int, exchanges: Iterable[Exchange]) -> Burst:
    commands = [_unblocked(each.command) if each.name == "XREADGROUP" else each.command for each in exchanges]
    reads = {at: command[2] for at, command in enumerate(commands) if command[0].upper() == b"XREADGROUP"}
    return Burst(link, b"".join(map(encoded, commands)), len(commands), reads)


def _unblocked(command: list[bytes]) -> list[bytes]:
    """Return a group read without blocking: it must not delay later commands on its connection."""
    words = [word.upper() for word in command]
    if b"BLOCK" not in words[: words.index(b"STREAMS")]:
        return command
    at = words.index(b"BLOCK")
    return command[:at] + command[at + 2 :]
