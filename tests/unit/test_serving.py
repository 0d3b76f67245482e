"""What the HTTP server stands on: one socket that answers at once."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from sagastream.errors import SagastreamError
from sagastream.serving import PortInUse, listen, serve
from sagastream.settings import Settings


class NotOurs(SagastreamError):
    """What is to be opened is somebody else's."""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_no_answer_waits_for_an_acknowledgement(host: str) -> None:
    """Head and body of an answer are two writes: held back by the kernel, the body comes 40 ms later."""
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = writer.get_extra_info("socket")
        accepted.set_result(wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        await writer.wait_closed()

    try:
        wire = listen(Settings(host=host), 0)
    except PortInUse:
        pytest.skip(f"this machine has no {host}")
    async with await asyncio.start_server(greet, sock=wire):
        _, writer = await asyncio.open_connection(*wire.getsockname()[:2])
        async with asyncio.timeout(5):
            assert await accepted != 0
        writer.close()
        await writer.wait_closed()


def test_a_taken_port_is_told() -> None:
    with listen(Settings(), 0) as wire, pytest.raises(PortInUse, match="try another PORT"):
        listen(Settings(), wire.getsockname()[1])


@pytest.mark.parametrize(
    ("error", "is_told"),
    [(PermissionError(13, "Permission denied", "calls.jsonl"), True), (NotOurs("held by another"), True),
     (ValueError("a mistake of ours"), False)],
)  # fmt: skip
async def test_why_an_app_cannot_be_opened_is_told_in_a_line_where_a_person_can_mend_it(
    error: Exception, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody finds one line below two tracebacks; only a mistake of ours is told by where it happened."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        raise error
        yield

    async def served() -> bool:
        with listen(Settings(), 0) as wire:
            return await serve(FastAPI(lifespan=lifespan), wire, asyncio.Event())

    if is_told:
        with pytest.raises(type(error)):
            await served()
    else:
        assert not await served()

    assert ("Traceback" in caplog.text) is not is_told


async def test_connections_that_cannot_be_taken_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Without descriptors the loop tries again 2048 times a second; a traceback for each would fill the disk."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    with listen(Settings(), 0) as wire, capture_logs() as lines:

        def scarce() -> None:
            for _ in range(2048):
                error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                told = {"message": "socket.accept() out of system resource", "exception": error, "socket": wire}
                loop.call_exception_handler(told)
            stop.set()

        assert await serve(FastAPI(), wire, stop, scarce)

    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["connections.not_taken"]
    assert "Traceback" not in caplog.text


async def test_a_server_that_stops_meanwhile_does_not_tell_of_each_of_them(caplog: pytest.LogCaptureFixture) -> None:
    """For each connection that was not taken the loop means to listen once more, a second later."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    closed = socket.socket()
    closed.close()

    with listen(Settings(), 0) as wire:

        def stopped() -> None:
            for _ in range(2048):
                loop.call_soon(loop._start_serving, asyncio.Protocol, closed)  # type: ignore[attr-defined]  # asyncio's
            loop.call_soon(stop.set)

        assert await serve(FastAPI(), wire, stop, stopped)

    assert caplog.text == ""
