"""What the front passes on to a service, and what it adds of its own: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import Depends, FastAPI
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

from sagastream import Settings, problems
from sagastream.admission import Admission
from sagastream.front import create_front
from sagastream.guards import MAX_BODY_BYTES
from sagastream.local_transport import LocalTransport
from sagastream.proxy import local_service
from sagastream.service import alive

ALL = ["GET", "HEAD", "POST"]


async def told(request: Request) -> Response:
    """Tell what came, and give whoever asks a cookie."""
    what = {"headers": dict(request.headers), "body": len(await request.body())}
    return JSONResponse(what, headers={"set-cookie": "session=of-whoever-came-first; Path=/"})


@asynccontextmanager
async def front(upstream: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that sends what it is told, and no more, to a front before one service."""
    app = create_front([], {"bank": upstream})
    async with alive(app), httpx.AsyncClient(transport=LocalTransport(app), base_url="http://front") as client:
        client.headers.clear()
        yield client


def bank() -> httpx.AsyncClient:
    return local_service(Starlette(routes=[Route("/{path:path}", told, methods=ALL)]))


async def test_no_client_is_sent_on_with_what_another_one_was_given() -> None:
    """A cookie that a service sets is its client's own; nor is anything said that the client did not say."""
    async with front(bank()) as client:
        first = await client.get("/services/bank/x")
        client.cookies.clear()
        second = await client.get("/services/bank/x", headers={"x-mine": "1"})
        client.cookies.clear()
        own = await client.get("/services/bank/x", headers={"cookie": "session=mine"})

    assert "of-whoever" in first.headers["set-cookie"]
    assert {*second.json()["headers"]} - {"host"} == {"x-mine"}
    assert own.json()["headers"]["cookie"] == "session=mine"


async def test_what_a_client_says_of_its_connection_is_not_passed_on() -> None:
    """RFC 9110, 7.6.1: nor are the headers that it names there."""
    async with front(bank()) as client:
        said = {"connection": "close, X-Of-This-One ,x-of-both", "x-of-this-one": "1", "X-Of-Both": "1", "x-mine": "1"}
        answer = await client.get("/services/bank/x", headers=said)

    assert {*answer.json()["headers"]} - {"host"} == {"x-mine"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_body_is_bounded_whatever_the_method(method: str) -> None:
    """A front reads bodies whole before it passes them on."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(MAX_BODY_BYTES)

    async with front(bank()) as client:
        told_length = await client.request(method, "/services/bank/x", content=bytes(MAX_BODY_BYTES + 1))
        chunked = await client.request(method, "/services/bank/x", content=endless())
        small = await client.request(method, "/services/bank/x", content=b"{}")

    assert (told_length.status_code, chunked.status_code) == (413, 413)
    assert small.status_code in (200, 405)


@pytest.mark.parametrize("error", [httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError])
async def test_a_service_that_breaks_off_may_have_done_what_was_asked(error: type[httpx.TransportError]) -> None:
    """That is said, for who hears "not now" asks again; a delivery without a key would be added twice."""

    def break_off(request: httpx.Request) -> httpx.Response:
        raise error("gone", request=request)

    async with front(httpx.AsyncClient(transport=httpx.MockTransport(break_off), base_url="http://bank")) as client:
        answer = await client.post("/services/bank/restock", json={"quantity": 5})

    assert answer.status_code == 502
    assert "may have happened" in answer.json()["detail"]
    assert "retry-after" not in answer.headers


async def test_an_address_too_long_to_be_passed_on_is_no_fault_of_ours() -> None:
    """The server takes longer ones than the client that asks the service."""
    path = "/services/bank/" + 70_000 * "a"
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
    }  # fmt: skip
    told: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request" if not told else "http.disconnect", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        told.append(message)

    await create_front([], {"bank": bank()})(scope, receive, send)

    assert told[0]["status"] == 414


async def test_an_operator_may_act_from_the_console_under_a_services_name(tmp_path: Path) -> None:
    """Without encryption browsers tell only whose page asks, which is compared with the host that was asked."""
    admission = Admission(Settings(data_dir=tmp_path, operator_token=SecretStr("a-token-nobody-guesses")))
    app = FastAPI()
    problems.install(app)
    app.add_api_route("/act", lambda: "done", methods=["POST"], dependencies=[Depends(admission.operator)])
    shown = {"authorization": "Bearer a-token-nobody-guesses"}

    async with front(local_service(app)) as client:
        own = await client.post("/services/bank/act", headers={**shown, "origin": "http://front"})
        foreign = await client.post("/services/bank/act", headers={**shown, "origin": "http://local"})

    assert (own.status_code, foreign.status_code) == (200, 403)
