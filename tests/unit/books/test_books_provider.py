"""Reading the provider's own record over HTTP."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from books.facts import Account
from books.provider import PAGE, ProviderSilent, changes
from sagastream.settings import Settings

CALLS = [{"key": f"saga-{n}.charge", "outcome": "charged", "amountCents": n} for n in range(PAGE + 1)]


@asynccontextmanager
async def provider(status: str, told: object) -> AsyncIterator[tuple[str, list[str]]]:
    """Answer every request so, a record in pages; yield where, and what is asked for."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(line.split()[1])
        after = int(asked[-1].partition("after=")[2].partition("&")[0])
        content: object = told
        if isinstance(told, Sequence) and not isinstance(told, str):
            rest = told[after + PAGE :]
            content = {"records": told[after : after + PAGE], "next": after + PAGE if rest else None}
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", asked


async def read() -> list[tuple[str, Account]]:
    return [each async for page in changes(Settings()) for each in page]


async def test_the_record_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider("200 OK", CALLS) as (url, asked):
        monkeypatch.setenv("PAYMENT_PROVIDER_URL", url)
        found = await read()

    assert found == [(f"saga-{n}.charge", Account(taken_cents=n, charges=1)) for n in range(PAGE + 1)]
    assert asked == [f"/records?after={after}&limit={PAGE}" for after in (0, PAGE)]


@pytest.mark.parametrize(
    ("status", "told", "words"),
    [
        ("503 Service Unavailable", "", "answers 503"),
        ("200 OK", "<html>", "JSONDecodeError"),
        ("200 OK", {"records": [{"key": "k"}]}, "KeyError"),
    ],
)
async def test_what_is_no_record_is_told_with_the_reason(
    status: str, told: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with provider(status, told) as (url, _):
        monkeypatch.setenv("PAYMENT_PROVIDER_URL", url)
        with pytest.raises(ProviderSilent, match=words):
            await read()


async def test_reading_it_again_and_again_leaves_nothing_to_be_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator reads it every ten minutes, and collects its garbage seldom."""
    gc.collect()
    gc.disable()
    try:
        before = contexts()
        async with provider("200 OK", CALLS) as (url, _):
            monkeypatch.setenv("PAYMENT_PROVIDER_URL", url)
            for _ in range(3):
                await read()
        assert contexts() == before
    finally:
        gc.enable()


def contexts() -> int:
    """Count the contexts for TLS there are, each with all its certificates."""
    return sum(isinstance(each, ssl.SSLContext) for each in gc.get_objects())
