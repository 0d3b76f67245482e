"""The one door to the server: raw commands in, raw RESP2 replies out. Speaks Redis; decides nothing.

One factory makes three connections, because redis-py's defaults suit none of the uses (its time-out is shorter than a
blocking read, and it re-sends commands that may already have been applied):

- *reader*: blocking reads; its time-out is the block plus five seconds; never re-sends.
- *writer*: scripts; never re-sends, because only the caller knows whether its script is deduplicated.
- *query*: short time-out; re-sends, because it only reads.

A primary that becomes a replica closes no connection. So once any of the three meets a replica, all three connect to
the address again: a connection that only reads would never get an error. Until the address leads to the new primary, no
connection opened there is kept.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Protocol, TypeAlias, cast

import hiredis
import redis.asyncio as redis
from redis import exceptions as refused
from redis.asyncio.retry import Retry
from redis.backoff import FullJitterBackoff, NoBackoff
from redis.driver_info import DriverInfo
from redis.maint_notifications import MaintNotificationsConfig

from sagastream.errors import ReplyError, SagastreamError, ServerUnavailable

Argument: TypeAlias = str | int | float | bytes
Command: TypeAlias = Sequence[Argument]
Reply: TypeAlias = "int | str | list[Reply] | None"

_TROUBLE = frozenset(
    {"LOADING", "READONLY", "OOM", "MISCONF", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY",
     "UNKILLABLE", "MAXCLIENTS", "UNBLOCKED"}
)  # fmt: skip
_UNNAMEABLE = re.compile(r"[^!-~]")  # not allowed in a client's name
MOST_CONNECTIONS = 32  # per pool; further callers wait for one
_GRACE = timedelta(seconds=5)
_TURN_S = 10.0  # longest wait for a connection of the pool
_DRIVER = DriverInfo()  # made once: it searches all installed packages for redis-py's version
_WHOSE = b"*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n"  # sent before the first command; a refusal of it is ignored
_TOLD_OF_ITSELF = ("# Server", "# Replication")  # beginnings of the reply to INFO


class WrongAddress(SagastreamError):
    """The server's address cannot be parsed, or has an unknown or unusable option; correct it."""


class Connection(Protocol):
    """Sends commands to one server. Does not promise that a command whose reply was lost was not applied.

    Raises: ``ReplyError`` for a refusal; ``ServerUnavailable`` if the server cannot serve or its reply was lost.
    """

    async def execute(self, *command: Argument) -> Reply:
        """Send one command and return its raw reply."""
        ...

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        """Send several commands at once; a refused one returns its error in its place."""
        ...


@dataclass(slots=True)
class Reign:
    """The number of the primary that a bus's connections lead to; connections of an earlier reign are not used."""

    number: int = 0


class Bus:
    """A server and the three connections to it."""

    def __init__(self, reader: Connection, writer: Connection, query: Connection) -> None:
        self.reader = reader
        self.writer = writer
        self.query = query

    async def close(self) -> None:
        """Close all open connections."""
        for connection in (self.reader, self.writer, self.query):
            if isinstance(connection, RedisConnection):
                await connection.close()


def connect(url: str, *, name: str, block: timedelta) -> Bus:
    """Prepare the connections to a server; the first command opens them.

    ``CLIENT LIST`` shows ``name``, followed by host and process; ``block`` is the longest blocking read that callers
    will request.
    """
    name = _UNNAMEABLE.sub("_", f"{name}@{socket.gethostname()}:{os.getpid()}")
    reign = Reign()
    return Bus(
        reader=RedisConnection(url, name=name, timeout=block + _GRACE, retries=0, reign=reign),
        writer=RedisConnection(url, name=name, timeout=_GRACE, retries=0, reign=reign),
        query=RedisConnection(url, name=name, timeout=timedelta(seconds=2), retries=2, reign=reign),
    )


class RedisConnection:
    """Sends commands over redis-py's connections, a few kept open; its pool and clients cost more than the exchange."""

    def __init__(self, url: str, *, name: str, timeout: timedelta, retries: int, reign: Reign | None = None) -> None:
        self._timeout_s = timeout.total_seconds()
        self._asked_first = " to TLS, which rediss:// asks for" if url.startswith("rediss:") else ""
        self._retry: Retry | None = Retry(FullJitterBackoff(cap=0.2, base=0.01), retries) if retries else None
        self._turns = asyncio.Semaphore(MOST_CONNECTIONS)
        with _options_are_told(url):
            self._makes: redis.ConnectionPool = redis.ConnectionPool.from_url(
                url,
                client_name=name,
                protocol=2,
                decode_responses=True,
                encoding_errors="surrogateescape",
                socket_timeout=None,
                socket_connect_timeout=2.0,
                socket_read_size=1 << 18,
                retry=Retry(NoBackoff(), 0),
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
                driver_info=_DRIVER,
            )
            self._reign = reign or Reign()
            self._free = [(self._reign.number, self._make())]  # connects at its first use
        self._is_closed = False

    async def execute(self, *command: Argument) -> Reply:
        """Send one command and return its raw reply."""
        (reply,) = await self._exchanged([command])
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        """Send several commands at once; a refused one returns its error in its place."""
        return await self._exchanged(commands) if commands else []

    async def close(self) -> None:
        """Close the idle connections; each one in use is closed at the end of its exchange."""
        self._is_closed = True
        while self._free:
            _, connection = self._free.pop()
            await connection.disconnect()

    async def _exchanged(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        packed = b"".join([_packed(command) for command in commands])
        try:
            if self._retry is None:
                return await self._exchange(packed, len(commands))
            return await self._retry.call_with_retry(partial(self._exchange, packed, len(commands)), _again)
        except refused.RedisError as error:
            raise translated(error) from error
        except (OSError, TimeoutError) as error:
            raise ServerUnavailable(str(error) or type(error).__name__) from error

    async def _exchange(self, packed: bytes, replies: int) -> list[Reply | ReplyError]:
        if self._turns.locked():
            await self._wait_for_turn()
        else:
            await self._turns.acquire()
        since, connection = self._free.pop() if self._free else (self._reign.number, self._make())
        is_clean = False
        try:
            async with asyncio.timeout(self._timeout_s):
                is_over = since != self._reign.number
                if connection.is_connected and (is_over or await _is_stale(connection)):
                    await connection.disconnect(nowait=True)
                is_new, since = not connection.is_connected, self._reign.number
                # This connects if there is no connection.
                await connection.send_packed_command(_WHOSE + packed if is_new else packed, check_health=False)
                is_to_replica = is_new and _is_of_replica(await _raw(connection))
                found = [await _raw(connection) for _ in range(replies)]
            if any(map(_is_of_replica, found)):
                self._reign.number = max(self._reign.number, since + 1)
            is_clean = not self._is_closed and not is_to_replica
        except TimeoutError:
            asked = "" if connection.is_connected else self._asked_first
            raise refused.TimeoutError(f"no answer within {self._timeout_s:g} s{asked}") from None
        finally:
            self._turns.release()
            if is_clean:
                self._free.append((since, connection))
            else:  # replies still on their way would be taken for the next command's; or this is a replica
                await connection.disconnect(nowait=True)
        return [_reply(raw) for raw in found]

    def _make(self) -> redis.Connection:
        return self._makes.make_connection()  # type: ignore[no-untyped-call,no-any-return]  # untyped

    async def _wait_for_turn(self) -> None:
        try:
            async with asyncio.timeout(_TURN_S):
                await self._turns.acquire()
        except TimeoutError:
            raise refused.TimeoutError(f"no connection within {_TURN_S:g} s") from None


@contextmanager
def _options_are_told(url: str) -> Iterator[None]:
    """Turn redis-py's errors about unknown or unusable options into ours, which shows no values.

    Raises: ``WrongAddress``.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        named = re.search(r"'(\w+)'", str(error))
        is_option = named is not None and f"{named[1]}=" in url.partition("?")[2]
        of = f"the option {named[1]!r} of " if named is not None and is_option else ""
        shape = "; it looks like redis://host:6379/0" if not of else ""
        raise WrongAddress(f"{of}the server's address (REDIS_URL) cannot be used{shape}") from None


async def _is_stale(connection: redis.Connection) -> bool:
    """Tell whether the server has closed the connection or sent an unsolicited reply."""
    try:
        return bool(await connection.can_read())
    except refused.RedisError:
        return True


async def _raw(connection: redis.Connection) -> object:
    try:
        return await connection.read_response(timeout=math.inf)
    except refused.ResponseError as error:
        return error


def _is_of_replica(raw: object) -> bool:
    """Tell whether a replica sent this, or a primary that is becoming one, which ends blocked reads with an error."""
    if isinstance(raw, str):
        return raw.startswith(_TOLD_OF_ITSELF) and "role:slave" in raw
    if isinstance(raw, refused.ReadOnlyError | refused.MasterDownError):
        return True
    return isinstance(raw, refused.ResponseError) and str(raw).startswith("UNBLOCKED force")


def _reply(raw: object) -> Reply | ReplyError:
    if isinstance(raw, refused.ResponseError):
        error = translated(raw)
        if isinstance(error, ReplyError):
            return error
        raise error from raw
    return cast(Reply, raw)


async def _again(error: Exception) -> None:
    """Do nothing between attempts: the exchange that failed has closed its connection."""


def _packed(command: Command) -> bytes:
    try:
        packed = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]  # a tuple of one there
    except UnicodeEncodeError:
        encoded = [part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part for part in command]
        packed = hiredis.pack_command(tuple(encoded))  # type: ignore[arg-type]  # as above
    return cast(bytes, packed)


def translated(error: refused.RedisError) -> ReplyError | ServerUnavailable:
    """Turn redis-py's exception into ours.

    redis-py strips the code from errors that have a class of their own, so the class is checked first.
    """
    if isinstance(
        error, refused.ConnectionError | refused.TimeoutError | refused.ReadOnlyError | refused.OutOfMemoryError
    ):
        return ServerUnavailable(str(error) or type(error).__name__)
    if isinstance(error, refused.InvalidResponse):
        return ServerUnavailable(f"what answers there is no Redis server: {error}")
    if isinstance(error, refused.NoScriptError):
        return ReplyError("NOSCRIPT", str(error))
    if isinstance(error, refused.NoPermissionError):
        return ReplyError("NOPERM", str(error))
    code, _, message = str(error).partition(" ")
    if code in _TROUBLE or isinstance(
        error, refused.ClusterDownError | refused.TryAgainError | refused.MasterDownError
    ):
        return ServerUnavailable(str(error))
    return ReplyError(code, message)
