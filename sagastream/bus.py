"""The one door to the server: raw commands in, raw RESP2 replies out. Speaks Redis; decides nothing.

Three connections come from one factory, for redis-py's defaults suit none of the uses (its time-out is shorter
than a blocking read, and it re-sends commands that may already have happened):

- *reader*: blocking reads; its time-out is the block plus five seconds; never re-sends.
- *writer*: scripts; never re-sends, because only the caller knows whether its script is deduplicated.
- *query*: short time-out; re-sends, because it only reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, TypeAlias, cast

import redis.asyncio as redis
from redis import exceptions as refused
from redis.asyncio.retry import Retry
from redis.backoff import FullJitterBackoff, NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from sagastream.errors import ReplyError, ServerUnavailable

Argument: TypeAlias = str | int | float | bytes
Command: TypeAlias = Sequence[Argument]
Reply: TypeAlias = "int | str | list[Reply] | None"

_TROUBLE = frozenset(
    {"LOADING", "READONLY", "OOM", "MISCONF", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY",
     "UNKILLABLE", "MAXCLIENTS"}
)  # fmt: skip
MOST_CONNECTIONS = 32  # per pool; whoever needs one more waits for it
_GRACE = timedelta(seconds=5)
_TURN = timedelta(seconds=10)  # to wait for a connection of the pool


class Connection(Protocol):
    """Commands to one server.

    Raises: ``ReplyError`` for a refusal, ``ServerUnavailable`` when the server cannot serve or the answer was lost.
    """

    async def execute(self, *command: Argument) -> Reply:
        """Send one command and return its raw reply."""
        ...

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        """Send several commands at once; a refused one returns its error in its place."""
        ...


class Bus:
    """A server and the three connections to it."""

    def __init__(self, reader: Connection, writer: Connection, query: Connection) -> None:
        self.reader = reader
        self.writer = writer
        self.query = query

    async def close(self) -> None:
        """Close what was opened."""
        for connection in (self.reader, self.writer, self.query):
            if isinstance(connection, RedisConnection):
                await connection.close()


def connect(url: str, *, name: str, block: timedelta) -> Bus:
    """Prepare the connections to a server; the first command opens them.

    ``name`` is shown by ``CLIENT LIST``; ``block`` is the longest blocking read that will be asked for.
    """
    return Bus(
        reader=RedisConnection(url, name=name, timeout=block + _GRACE, retries=0),
        writer=RedisConnection(url, name=name, timeout=_GRACE, retries=0),
        query=RedisConnection(url, name=name, timeout=timedelta(seconds=2), retries=2),
    )


class RedisConnection:
    """A pool of connections through redis-py, with its reply parsing switched off."""

    def __init__(self, url: str, *, name: str, timeout: timedelta, retries: int) -> None:
        backoff = FullJitterBackoff(cap=0.2, base=0.01) if retries else NoBackoff()
        pool: redis.BlockingConnectionPool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=MOST_CONNECTIONS,
            timeout=_TURN.total_seconds(),
            client_name=name,
            protocol=2,
            decode_responses=True,
            encoding_errors="surrogateescape",
            socket_timeout=timeout.total_seconds(),
            socket_connect_timeout=2.0,
            socket_read_size=1 << 18,
            retry=Retry(backoff, retries),
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self._client = redis.Redis(connection_pool=pool)
        self._client.response_callbacks.clear()

    async def execute(self, *command: Argument) -> Reply:
        """Send one command and return its raw reply."""
        try:
            reply = await self._client.execute_command(*command)  # type: ignore[no-untyped-call]  # untyped there
            return cast(Reply, reply)
        except refused.RedisError as error:
            raise translated(error) from error
        except (OSError, TimeoutError) as error:
            raise ServerUnavailable(str(error) or type(error).__name__) from error

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        """Send several commands at once; a refused one returns its error in its place."""
        if not commands:
            return []
        batch = self._client.pipeline(transaction=False)
        for command in commands:
            batch.execute_command(*command)
        try:
            replies = await batch.execute(raise_on_error=False)
        except refused.RedisError as error:
            raise translated(error) from error
        except (OSError, TimeoutError) as error:
            raise ServerUnavailable(str(error) or type(error).__name__) from error
        return [_reply(reply) for reply in replies]

    async def close(self) -> None:
        """Close all connections of the pool."""
        await self._client.aclose()
        await self._client.connection_pool.aclose()


def _reply(reply: object) -> Reply | ReplyError:
    if isinstance(reply, refused.RedisError):
        error = translated(reply)
        if isinstance(error, ReplyError):
            return error
        raise error from reply
    return cast(Reply, reply)


def translated(error: refused.RedisError) -> ReplyError | ServerUnavailable:
    """Turn redis-py's exception into ours.

    redis-py strips the code of the errors it has classes for, so the class is looked at first.
    """
    if isinstance(
        error, refused.ConnectionError | refused.TimeoutError | refused.ReadOnlyError | refused.OutOfMemoryError
    ):
        return ServerUnavailable(str(error) or type(error).__name__)
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
