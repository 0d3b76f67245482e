"""An address at which there is something, and not the server: said in a line that helps whoever wrote it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from sagastream.bus import RedisConnection, WrongAddress
from sagastream.errors import ServerUnavailable


@asynccontextmanager
async def somebody(says: bytes) -> AsyncIterator[str]:
    """Listen around the block and say this to whoever asks; yield where."""

    came, gone = [], asyncio.Semaphore(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)
        await reader.read(1)
        writer.write(says)
        await reader.read()
        writer.close()
        gone.release()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        for _ in came:
            await gone.acquire()


async def asked(url: str) -> str:
    """Return why nothing can be asked there."""
    connection = RedisConnection(url, name="test", timeout=timedelta(seconds=0.3), retries=0)
    try:
        with pytest.raises(ServerUnavailable) as trouble:
            await connection.execute("PING")
    finally:
        await connection.close()
    return str(trouble.value)


async def test_another_kind_of_server_is_called_that() -> None:
    """Else it would be a server that refuses each single thing for a reason of its own."""
    async with somebody(says=b"<html>\r\n") as there:
        told = await asked(f"redis://{there}")

    assert told.startswith("what answers there is no Redis server: ")


async def test_a_server_without_tls_is_told_from_one_that_is_silent() -> None:
    """It waits for the rest of what it takes for a command."""
    async with somebody(says=b"") as there:
        with_tls, without = await asked(f"rediss://{there}"), await asked(f"redis://{there}")

    assert with_tls == "no answer within 0.3 s to TLS, which rediss:// asks for"
    assert without == "no answer within 0.3 s"


@pytest.mark.parametrize("option", ["ssl_ca_cert=/etc/shop/s3cr3t.pem", "socket_timeout=s3cr3t"])
def test_an_option_that_is_none_is_named_without_its_value(option: str) -> None:
    """Else it would be a fault of the program at the first command."""
    with pytest.raises(WrongAddress, match=option.partition("=")[0]) as refused:
        RedisConnection(f"rediss://host/0?{option}", name="test", timeout=timedelta(seconds=1), retries=0)

    assert "s3cr3t" not in str(refused.value)


def test_an_address_that_cannot_be_read_is_not_shown() -> None:
    with pytest.raises(WrongAddress) as refused:
        RedisConnection("redis://shop:s3cr3t/x@host/0", name="test", timeout=timedelta(seconds=1), retries=0)

    assert str(refused.value) == "the server's address (REDIS_URL) cannot be used; it looks like redis://host:6379/0"
