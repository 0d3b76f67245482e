"""What a client may do to a connection, and what an answer gives away: each asked of a real server, byte by byte."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from typing import cast
from urllib.parse import urljoin

import httpx
import pytest
from fastapi import FastAPI, Response
from sse_starlette import EventSourceResponse
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from sagastream.guards import BodyGuard
from sagastream.proxy import local_service
from sagastream.redirects import RelativeRedirects
from sagastream.service import bare_app
from sagastream.serving import listen, serve
from sagastream.settings import Settings
from sagastream.telemetry import Telemetry

WITHIN = timedelta(seconds=0.2)


@asynccontextmanager
async def _nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


def whole() -> FastAPI:
    """Return an app with every guard and one route that takes a body."""
    app = bare_app("shop", _nothing, is_open=lambda: True, always=())

    @app.post("/api/orders")
    async def order(asked: dict[str, str]) -> dict[str, str]:
        return asked

    @app.get("/console/")
    async def console() -> str:
        return "here"

    return app


@asynccontextmanager
async def served(app: object, headers_within: timedelta = timedelta(seconds=10)) -> AsyncIterator[int]:
    """Serve an app around the block and yield its port."""
    ready, stop = asyncio.Event(), asyncio.Event()
    with listen(Settings(), 0) as wire:
        serving = asyncio.create_task(
            serve(app, wire, stop, ready.set, headers_within=headers_within)  # type: ignore[arg-type]  # an ASGI app
        )
        await ready.wait()
        yield cast(int, wire.getsockname()[1])
        stop.set()
        await serving


async def said(port: int, *parts: bytes) -> bytes:
    """Send these parts one after the other and return what comes until it hangs up; a GET is answered first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        async with asyncio.timeout(5):
            for part in parts:
                writer.write(part)
                if part.startswith(b"GET ") and part.endswith(b"\r\n\r\n"):
                    heard += await reader.readuntil(b'"here"')
            return heard + await reader.read()
    finally:
        writer.close()


async def test_a_request_with_two_lengths_is_refused_and_nothing_after_it_is_read() -> None:
    """A gateway that heeds the other one would take what follows for a request of somebody else (RFC 9112, 6.3)."""
    head = b"POST /api/orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"

    async with served(whole()) as port:
        answer = await said(port, head + b"0\r\n\r\nGET /console/ HTTP/1.1\r\nHost: shop\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_what_was_sent_by_half_when_the_client_left_is_not_done() -> None:
    """Not even where the half that came makes sense by itself; and there is nobody to answer."""
    parts: list[Message] = [
        {"type": "http.request", "body": b'{"quantity": "1"}', "more_body": True},
        {"type": "http.disconnect"},
    ]
    happened: list[str] = []

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        happened.append(message["type"])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        happened.append("done")

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}
    await BodyGuard(app)(scope, receive, send)

    assert (happened, parts) == ([], [])


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    head = b"POST /api/orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"

    async with served(BodyGuard(whole(), within=WITHIN)) as port:
        answer = await said(port, head, b'{"half":')

    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "parts",
    [(), (b"GET /console/ HTTP/1.1\r\nHost: sh",), (b"GET /console/ HTTP/1.1\r\nHost: shop\r\n\r\n", b"GET /cons")],
    ids=["nothing", "half", "half of a second request"],
)
async def test_who_never_says_what_is_wanted_holds_no_connection(parts: tuple[bytes, ...]) -> None:
    async with served(whole(), headers_within=WITHIN) as port:
        answer = await said(port, *parts)

    assert answer.count(b"HTTP/1.1 200 ") == max(0, len(parts) - 1)


async def test_an_answer_that_takes_its_time_is_not_broken_off() -> None:
    app = whole()

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(3 * WITHIN.total_seconds())
        return "done"

    async with served(app, headers_within=WITHIN) as port, httpx.AsyncClient(trust_env=False) as client:
        answers = [(await client.get(f"http://127.0.0.1:{port}/slow")).status_code for _ in range(2)]

    assert answers == [200, 200]


@pytest.mark.parametrize("path", ["/console", "/api/orders/"])
async def test_a_redirect_names_no_host(path: str) -> None:
    """Behind TLS it would send the client, with its token, on without; and to whatever host the client named.

    Nor what stands before the path here: a front or a gateway may have taken something off it.
    """
    async with local_service(whole()) as client:
        answer = await client.request("POST" if "api" in path else "GET", path, headers={"host": "elsewhere.example"})

    assert answer.status_code == 307
    assert answer.headers["location"] == ("../orders" if "api" in path else "console/")


@pytest.mark.parametrize(
    ("told", "kept"),
    [(b"http://shop/a?b=http://c/", b"/a?b=http://c/"), (b"https://shop//evil.example", b"/evil.example"),
     (b"/api/x", b"/api/x"), (b"https://shop", b"/"), (b"http://shop/api/", b"/api/"), (b"http://shop/api", b"/api"),
     (b"http://shop/api/javascript:x", b"/api/javascript:x"),
     (b"http://shop/api/orders/7/#part", b"/api/orders/7/#part"), (b"http://shop/other/7", b"/other/7")],
)  # fmt: skip
@pytest.mark.parametrize("here", [b"/api", b"/api/", b"/api/orders", b"/api/orders/", b"/api/orders/7", b"/"])
def test_what_is_kept_of_a_place_is_how_to_come_there_from_here(told: bytes, kept: bytes, here: bytes) -> None:
    """The same place, wherever the whole of it stands; whoever names no host says what is meant."""
    place = RelativeRedirects.place_from(here, told)

    assert urljoin(b"https://shop" + here, place) == b"https://shop" + kept
    if not told.startswith(b"/"):
        assert urljoin(b"https://shop/below" + here, place) == b"https://shop/below" + kept


def test_a_place_never_looks_like_a_host() -> None:
    assert RelativeRedirects.place_from(b"/api/orders", b"http://shop/api//evil.example/") == b".//evil.example/"
    assert (
        RelativeRedirects.place_from(b"//evil.example/x", b"http://shop//evil.example/x/") == b"../../evil.example/x/"
    )


async def test_the_page_of_the_routes_runs_no_script_that_is_not_the_one_that_was_looked_at() -> None:
    """It shares its origin with the console, where operators have shown their token."""
    async with local_service(whole()) as client:
        page = await client.get("/docs")

    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page.text, re.DOTALL)
    foreign = re.findall(r'<(?:script|link)[^>]*(?:src|href)="https?://[^>]*>', page.text)
    policy = page.headers["content-security-policy"]
    codes = [code for attributes, code in scripts if "src=" not in attributes]
    own = [b64encode(sha256(code.encode()).digest()).decode() for code in codes]
    assert foreign
    assert all('integrity="sha384-' in tag and 'crossorigin="anonymous"' in tag for tag in foreign)
    assert own
    assert all(f"'sha256-{each}'" in policy for each in own)
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


async def test_a_head_is_that_of_the_answer_to_a_get() -> None:
    """The same status and headers, without a body: who watches a shop from outside often asks for no more."""
    telemetry = Telemetry("shop")
    app = bare_app("shop", _nothing, is_open=lambda: True, always=(), telemetry=telemetry)

    @app.get("/api/orders/{order_id}")
    async def order(order_id: str) -> str:
        return order_id

    async with served(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        head, whole = [await client.request(method, "/api/orders/o-1") for method in ("HEAD", "GET")]

    assert (head.status_code, head.content, whole.content) == (200, b"", b'"o-1"')
    assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}
    counted = 'request_seconds_count{method="GET",route="/api/orders/{order_id}",service="shop"} 2.0'
    assert counted in telemetry.render().decode()


@pytest.mark.parametrize(("path", "status"), [("/api/orders", 405), ("/nowhere", 404), ("/api/fault", 500)])
async def test_what_is_refused_a_get_is_refused_a_head(path: str, status: int) -> None:
    """A HEAD tells as much as a GET would: that there is nothing, or that it fails."""
    app = whole()
    app.add_api_route("/api/fault", lambda: 1 / 0)

    async with served(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.head(path)

    assert (answer.status_code, answer.content) == (status, b"")


@pytest.mark.parametrize("stream", [StreamingResponse, EventSourceResponse])
async def test_a_head_of_what_never_ends_ends(stream: Callable[[AsyncIterator[bytes]], Response]) -> None:
    """Nobody reads what would be streamed: whoever streams is told so, and the connection takes the next request."""
    app, left = whole(), asyncio.Event()

    async def news() -> AsyncIterator[bytes]:
        try:
            await asyncio.sleep(60)
            yield b"never"
        finally:
            left.set()

    @app.get("/api/news")
    async def follow() -> Response:
        return stream(news())

    async with served(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.head("/api/news")
        async with asyncio.timeout(5):
            await left.wait()
            after = await client.get("/console/")

    assert (answer.status_code, answer.content, after.text) == (200, b"", '"here"')
