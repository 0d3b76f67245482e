"""Every answer is counted once, where it is given, under names from closed sets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.measured import Measured, held_back
from sagastream.problems import Problem
from sagastream.series import SERVICE_UP
from sagastream.service import alive, bare_app, include
from sagastream.telemetry import Figure, Telemetry
from sagastream.testing.virtual_time import run


@asynccontextmanager
async def nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


def routes() -> APIRouter:
    router = APIRouter()

    @router.get("/shelves/{shelf}")
    async def show(shelf: str, request: Request) -> Response:
        if shelf == "late":
            held_back(request.scope)
        if shelf == "none":
            raise Problem(404, "there is no such shelf")
        if shelf == "broken":
            raise RuntimeError("it fell")
        return Response(shelf)

    return router


async def asked(*requests: str) -> str:
    """Ask an app, and return what it exports."""
    telemetry = Telemetry("stock-service")
    app = bare_app("stock", nothing, is_open=lambda: True, always=(), telemetry=telemetry)
    include(app, [routes()], telemetry)
    async with (
        alive(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://t"
        ) as client,
    ):
        for request in requests:
            method, path = request.split(" ")
            await client.request(method, path)
    return telemetry.render().decode()


def counted(text: str) -> dict[tuple[str, str, str], int]:
    """Return how many requests were answered, by method, route and status."""
    labels = r'method="(\S+)",route="(\S+)",service="stock-service",status="(\S+)"'
    pattern = rf"^choreographed_saga_requests_total{{{labels}}} (\d+)"
    return {(method, route, status): int(n) for method, route, status, n in re.findall(pattern, text, re.MULTILINE)}


async def test_every_answer_is_counted_by_its_route_and_class() -> None:
    """Neither what was asked for nor a method somebody made up becomes a label."""
    text = await asked(
        "GET /shelves/1", "GET /shelves/2", "GET /shelves/none", "GET /shelves/broken", "POST /shelves/1",
        "GET /nowhere/4929123456781234", "BREW /shelves/1",
    )  # fmt: skip

    assert {key: n for key, n in counted(text).items() if n} == {
        ("GET", "/shelves/{shelf}", "2xx"): 2,
        ("GET", "/shelves/{shelf}", "4xx"): 1,
        ("GET", "/shelves/{shelf}", "5xx"): 1,
        ("other", "/shelves/{shelf}", "4xx"): 2,
        ("GET", "none", "4xx"): 1,
    }
    assert "4929123456781234" not in text


async def test_methods_that_a_route_does_not_offer_are_one_label_value() -> None:
    """Whoever tries every method at every path would else have eight times as many series kept."""
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")
    text = await asked(*(f"{method} {path}" for method in methods for path in ("/shelves/1", "/openapi.json")))

    found = {(method, route) for method, route, _ in counted(text)}

    assert {method for method, route in found if route == "/shelves/{shelf}"} == {"GET", "other"}
    assert counted(text)["other", "/shelves/{shelf}", "4xx"] == len(methods) - len(("GET", "HEAD"))
    assert {method for method, _ in found} <= {*methods[:-1], "other"}


async def test_failures_of_a_route_are_exported_before_there_are_any() -> None:
    """A counter that begins with a failure has no rate."""
    assert counted(await asked())["GET", "/shelves/{shelf}", "5xx"] == 0


async def test_time_a_client_asked_to_wait_is_left_out() -> None:
    text = await asked("GET /shelves/late", "GET /shelves/1")

    assert counted(text)["GET", "/shelves/{shelf}", "2xx"] == 2
    assert 'request_seconds_count{method="GET",route="/shelves/{shelf}",service="stock-service"} 1.0' in text


async def test_the_time_is_that_until_the_answer_begins() -> None:
    """A stream that flows for an hour was answered at once."""
    ticks: Iterator[float] = iter((10.0, 10.2, 3600.0))
    telemetry, flowing = Telemetry("stock-service"), asyncio.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            flowing.set()
            yield b"two"

        await StreamingResponse(chunks())(scope, receive, send)

    app = Measured(stream, telemetry, clock=lambda: next(ticks))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        await client.get("/feed")

    text = telemetry.render().decode()
    assert flowing.is_set()
    assert 'choreographed_saga_request_seconds_sum{method="GET",route="none",service="stock-service"} 0.1999' in text


async def test_a_source_that_is_refused_takes_no_figure_from_the_others() -> None:
    """It is left out, as is one whose server is away: whoever scrapes would else see nothing at all."""

    async def refused() -> list[Figure]:
        raise ReplyError("WRONGTYPE", "what is counted is no hash")

    async def away() -> list[Figure]:
        raise ServerUnavailable("nobody answers")

    async def sound() -> list[Figure]:
        return [Figure(SERVICE_UP, ("bank",), 1.0)]

    telemetry = Telemetry("coordinator")
    for source in (refused, away, sound):
        telemetry.add_source(source)

    assert 'service="bank"} 1.0' in (await telemetry.scrape()).decode()


def test_a_source_that_does_not_answer_holds_up_no_figure_for_longer_than_a_probe() -> None:
    """A frozen server is asked again and again by who reads it; what this process counted is told all the same."""

    async def frozen() -> list[Figure]:
        await asyncio.sleep(6.2)
        return []

    async def sound() -> list[Figure]:
        return [Figure(SERVICE_UP, ("bank",), 1.0)]

    async def scraped() -> tuple[str, float]:
        telemetry, loop = Telemetry("coordinator"), asyncio.get_running_loop()
        for source in (frozen, frozen, sound):
            telemetry.add_source(source)
        began = loop.time()
        return (await telemetry.scrape()).decode(), loop.time() - began

    text, took_s = run(scraped())

    assert took_s == 3
    assert 'service_up{service="bank"} 1.0' in text
    assert 'choreographed_saga_retries_total{service="coordinator"} 0.0' in text
