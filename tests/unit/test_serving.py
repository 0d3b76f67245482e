"""What the HTTP server stands on: one socket that answers at once."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sagastream.serving import PortInUse, listen
from sagastream.settings import Settings


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
