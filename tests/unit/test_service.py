"""A service's app answers every error as a problem, bounds what it reads, and tells how it is.

It is long because every guard and every error is asked of one app, whose routes stand at its top.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from urllib.parse import urljoin

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from sagastream import series
from sagastream.bus import Bus, Command, Reply
from sagastream.entrance import Conflict, UnknownSaga
from sagastream.errors import ReplyError, ServerUnavailable, Undecodable
from sagastream.exposition import merge
from sagastream.front import create_front
from sagastream.problems import Problem, install
from sagastream.proxy import local_service
from sagastream.service import Context, Service, alive, create_app
from sagastream.settings import Settings
from sagastream.telemetry import Figure, Spread, Telemetry, expose
from sagastream.testing.virtual_time import run

PATHS = ("/readyz", "/health")
INFO = (
    "# Server\r\nredis_version:7.2.4\r\nvalkey_version:9.1.2\r\nserver_name:valkey\r\n"
    "maxmemory_policy:noeviction\r\naof_enabled:1\r\n"
)


class Server:
    """A server that answers what the probes ask, or is away."""

    is_away = False
    info = INFO
    store: str | None = None

    async def execute(self, *command: str | float | bytes) -> Reply:
        """Answer, or fail as an unreachable server does."""
        if self.is_away:
            raise ServerUnavailable("connection refused")
        if command[0] == "CONFIG":
            raise ReplyError("NOPERM", "this user has no permissions to run 'config|get'")
        told: dict[str, Reply] = {"INFO": self.info, "PING": "PONG", "HGET": self.store, "HMGET": [None, None]}
        return told[str(command[0])]

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        """Answer each."""
        return [await self.execute(*command) for command in commands]


class Consumer:
    """A worker that fails when told to."""

    name = "stock"

    def __init__(self) -> None:
        self.fails = asyncio.Event()
        self.has_begun = self.has_stopped = False
        self.trouble: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for the end or the failure."""
        self.has_begun = True
        told = [asyncio.create_task(stop.wait()), asyncio.create_task(self.fails.wait())]
        _, other = await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
        for task in other:
            task.cancel()
        if self.fails.is_set():
            raise RuntimeError("the shelf broke")
        self.has_stopped = True

    def is_ready(self) -> bool:
        """Say yes, unless there is trouble."""
        return self.trouble is None

    def describe(self) -> Mapping[str, str | int | float | bool | None]:
        """Say something."""
        return {"rounds": 7} | ({"trouble": self.trouble} if self.trouble else {})


class Line(BaseModel):
    """One line."""

    quantity: int = Field(ge=1, alias="pieceCount")
    price: Decimal


class Order(BaseModel):
    """An order."""

    items: list[Line]


def routes() -> APIRouter:
    """Return routes that go right and wrong."""
    router = APIRouter()

    @router.post("/api/orders", status_code=202)
    async def post(order: Order) -> dict[str, int]:
        return {"lines": len(order.items)}

    @router.get("/api/fault")
    async def fault() -> None:
        raise RuntimeError("secret detail")

    @router.get("/api/away")
    async def away() -> None:
        raise ServerUnavailable("connection refused")

    @router.post("/api/away")
    async def written_or_not() -> None:
        raise ServerUnavailable("the answer was lost")

    @router.get("/api/unreadable")
    async def unreadable() -> None:
        raise Undecodable("the record of saga-1 says 'ada@example.com'")

    @router.post("/api/cancel/{saga_id}")
    async def cancel(saga_id: str) -> None:
        raise UnknownSaga(f"the ledger of secret remembers no saga {saga_id}")

    @router.post("/api/reserve")
    async def reserve() -> None:
        raise Conflict("refused by decrease of 'secret' in 'rooms'")

    @router.get("/api/conflict")
    async def conflict(limit: int = 1) -> None:
        raise Problem(409, "the order is confirmed", extras={"orderId": "o-1"})

    return router


class Shop:
    """One service under test."""

    def __init__(self, **settings: str) -> None:
        self.server = Server()
        self.worker = Consumer()
        self.opened: list[str] = []
        bus = Bus(self.server, self.server, self.server)
        self.context = Context(
            "stock-service",
            Settings(redis_url="redis://user:pw@x", **settings),  # type: ignore[arg-type]  # texts all
            bus,
            Telemetry("stock-service"),
        )
        service = Service("stock-service", [routes()], [self.worker], [self._resource()])
        self.app = create_app(service, self.context)

    @asynccontextmanager
    async def _resource(self) -> AsyncIterator[None]:
        self.opened.append("open")
        yield
        self.opened.append("closed")

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Run the app and yield a client of it."""
        async with alive(self.app), local_service(self.app) as client:
            yield client


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def send(client: httpx.AsyncClient, body: bytes) -> httpx.Response:
    return await client.post("/api/orders", content=body, headers={"content-type": "application/json"})


async def answers(client: httpx.AsyncClient, status: int) -> httpx.Response:
    """Ask whether the service is ready until it answers so, for five seconds at most."""
    async with asyncio.timeout(5):
        while True:
            answer = await client.get("/readyz")
            if answer.status_code == status:
                return answer
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"items": [{"pieceCount": 0, "price": 1}]}', 422, "items.0.pieceCount"),
        (b'{"items": [{"pieceCount": 1}]}', 422, "items.0.price"),
        (b'{"items": 3}', 422, "items"),
        (b"null", 422, "the body: must be a JSON object, sent as Content-Type: application/json"),
        (b'{"items": {}}', 422, "items: must be a JSON array"),
        (b'{"items": [1]}', 422, "items.0: must be a JSON object"),
        (b"", 422, "the body"),
        (b'{"items": [', 400, "not JSON"),
        (b'{"items": [{"pieceCount": 1, "price": NaN}]}', 400, "NaN"),
        (b'{"items": [{"pieceCount": 1, "price": -Infinity}]}', 400, "Infinity"),
        (b'{"items": [{"pieceCount": 1, "price": 1e400}]}', 422, "items.0.price"),
        ('{"items": []}'.encode("utf-16"), 400, "UTF-8"),
        (b"[" * 60_000, 400, "not JSON"),
        (b"9" * 60_000, 400, "body"),
        (b'{"items": "\xff"}', 400, "UTF-8"),
        (b'{"items": [], "items": [{"pieceCount": 1, "price": 1}]}', 400, "'items' stands twice"),
        (b'{"items": [{"pieceCount": 1, "pieceCount": 2, "price": 1}]}', 400, "'pieceCount' stands twice"),
        (b'{"\\ud800": 1, "\\ud800": 2}', 400, "stands twice"),
        (b" " * 65_537, 413, "65536"),
    ],
)
async def test_a_bad_body_is_a_problem_that_says_what_is_wrong(shop: Shop, body: bytes, status: int, said: str) -> None:
    async with shop.client() as client:
        answer = await send(client, body)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 60_000])
async def test_json_is_strict_however_its_type_is_written(shop: Shop, body: bytes) -> None:
    """A media type has no case, and where there are two it is not known which one is heeded."""
    twice = [("content-type", "application/json"), ("content-type", "text/plain")]
    async with shop.client() as client:
        plain = await send(client, body)
        shouted = await client.post("/api/orders", content=body, headers={"content-type": "Application/JSON"})
        doubled = await client.post("/api/orders", content=body, headers=twice)

    assert (shouted.status_code, shouted.json()) == (400, plain.json())
    assert (doubled.status_code, doubled.json()) == (400, plain.json())


async def test_each_wrong_field_is_pointed_at(shop: Shop) -> None:
    async with shop.client() as client:
        answer = await send(client, b'{"items": [{"pieceCount": 0, "price": "x"}]}')

    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "#/items/0/pieceCount",
        "#/items/0/price",
    ]


async def test_a_body_without_a_length_is_bounded_too(shop: Shop) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    async with shop.client() as client:
        answer = await client.post("/api/orders", content=chunks())

    assert answer.status_code == 413


async def test_a_good_body_arrives_whole(shop: Shop) -> None:
    async with shop.client() as client:
        answer = await send(client, b'{"items": [{"pieceCount": 1, "price": "1.50"}]}')

    assert (answer.status_code, answer.json()) == (202, {"lines": 1})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/api/orders", 405),
        ("POST", "/api/cancel/saga-1", 404),
        ("POST", "/api/reserve", 409),
        ("GET", "/api/conflict", 409),
        ("GET", "/api/conflict?limit=x", 422),
        ("GET", "/api/away", 503),
        ("GET", "/api/fault", 500),
    ],
)
async def test_every_error_is_a_problem(shop: Shop, method: str, path: str, status: int) -> None:
    async with shop.client() as client:
        answer = await client.request(method, path)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)
    assert ("allow" in answer.headers) == (status == 405)
    assert bool(answer.json().get("incident")) == (status == 500)


async def test_a_refused_method_is_told_every_one_that_is_offered() -> None:
    """Several routes share a path, of the app itself and of what it includes; one of another form is another thing."""
    app, outer, inner = FastAPI(), APIRouter(prefix="/api"), APIRouter()
    install(app)
    inner.add_api_route("/thing", lambda: None, methods=["POST"])
    outer.add_api_route("/thing", lambda: None, methods=["PUT"])
    outer.add_api_route("/another", lambda: None, methods=["DELETE"])
    outer.include_router(inner)
    outer.add_api_route("/{name}", lambda name: name, methods=["PATCH"])
    app.add_api_route("/api/thing", lambda: None, methods=["GET"])
    app.include_router(outer)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        answer = await client.delete("/api/thing")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST, PUT")


async def test_a_method_that_a_service_refuses_is_told_those_it_offers(shop: Shop) -> None:
    """Of its own routes and of its probes."""
    async with shop.client() as client:
        answers = [await client.request("PATCH", path) for path in ("/api/away", "/api/fault", "/health")]

    assert [(one.status_code, one.headers["allow"]) for one in answers] == [
        (405, "GET, HEAD, POST"),
        (405, "GET, HEAD"),
        (405, "GET, HEAD"),
    ]


async def test_a_service_tells_how_it_is(shop: Shop) -> None:
    async with shop.client() as client:
        ready, health = await client.get("/readyz"), await client.get("/health")
        alive_, metrics = await client.get("/livez"), await client.get("/metrics")

    assert (ready.status_code, alive_.status_code, health.json()["status"]) == (200, 200, "ok")
    assert ready.json()["durability"]["version"] == "9.1.2"
    assert ready.json()["durability"]["appendfsync"] == "unknown"
    assert health.json()["workers"]["stock"]["rounds"] == 7
    assert 'choreographed_saga_retries_total{service="stock-service"} 0.0' in metrics.text
    assert (shop.opened, shop.worker.has_stopped) == (["open", "closed"], True)


async def test_readiness_falls_while_the_server_is_away(shop: Shop) -> None:
    async with shop.client() as client:
        shop.server.is_away = True
        lost = await client.get("/readyz")
        shop.server.is_away = False
        back = await client.get("/readyz")

    assert (lost.status_code, back.status_code) == (503, 200)


async def test_a_server_away_at_the_start_is_waited_for(shop: Shop) -> None:
    shop.server.is_away = True

    async with shop.client() as client:
        waiting = await send(client, b'{"items": []}')
        probe = await client.get("/livez")
        shop.server.is_away = False
        await answers(client, 200)
        served = await send(client, b'{"items": []}')

    assert (waiting.status_code, probe.status_code, served.status_code) == (503, 200, 202)


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ("", []),
        ("aof_enabled:0\r\n", ["no append-only file: a restart loses everything since the last snapshot"]),
        (
            "maxmemory_policy:allkeys-lru\r\n",
            ["maxmemory-policy allkeys-lru may evict ledgers and records; set noeviction"],
        ),
    ],
)
async def test_a_server_that_may_forget_is_told_at_the_start(shop: Shop, info: str, told: list[str]) -> None:
    """A Redis as it comes out of its container does, and whoever never asks the doctor would hear of it too late."""
    shop.server.info = INFO + info

    with capture_logs() as logged:
        async with shop.client() as client:
            await answers(client, 200)

    assert [line["why"] for line in logged if line["event"] == "server.may_forget"] == told


async def test_nothing_opens_on_a_store_of_another_name_and_it_is_said_why() -> None:
    """No request, no worker and no resource touches it; once it has the name it must have, all begins by itself."""
    shop = Shop(store="trial")
    shop.server.store = "production"

    with capture_logs() as logged:
        async with shop.client() as client:
            refused, ready, health = [await send(client, b'{"items": []}'), *[await client.get(p) for p in PATHS]]
            touched = ([*shop.opened], shop.worker.has_begun)
            shop.server.store = "trial"
            await answers(client, 200)
            served, well = await send(client, b'{"items": []}'), await client.get("/health")

    why = "the store is called 'production', STORE says 'trial'"
    assert (refused.status_code, ready.status_code, touched) == (503, 503, ([], False))
    assert [why in reason for reason in ready.json()["reasons"]] == [True]
    assert (health.json()["status"], why in health.json()["store"]["trouble"]) == ("degraded", True)
    assert [why in line["error"] for line in logged if line["event"] == "store.refused"][:1] == [True]
    assert (served.status_code, well.json()["store"], shop.worker.has_begun) == (202, {"trouble": None}, True)


async def test_what_is_stored_and_cannot_be_read_is_logged_under_the_id_that_is_answered(shop: Shop) -> None:
    """Whoever is told of it tells the operator, who must find it."""
    with capture_logs() as logged:
        async with shop.client() as client:
            answer = await client.get("/api/unreadable")

    told = answer.json()
    assert (answer.status_code, "saga-1" in told["detail"], "ada@" in told["detail"]) == (500, True, False)
    (line,) = [line for line in logged if line["event"] == "request.unreadable"]
    assert (line["incident"], line["path"]) == (told["incident"], "/api/unreadable")


async def test_a_write_whose_answer_was_lost_is_not_said_to_have_failed(shop: Shop) -> None:
    """Who is only told to try again orders twice, or adds a delivery twice."""
    async with shop.client() as client:
        read, written = await client.get("/api/away"), await client.post("/api/away")

    assert (read.status_code, written.status_code) == (503, 503)
    assert read.headers["retry-after"] == written.headers["retry-after"]
    assert "cannot be reached or takes no writes" in written.json()["detail"]  # one that is full is there
    assert "may have happened" in written.json()["detail"]
    assert "may have happened" not in read.json()["detail"]


async def test_the_front_waits_for_the_store_of_its_routes_too() -> None:
    """Its routes run in its own process, whatever the services behind it say."""
    shop = Shop(store="trial")
    front = create_front([routes()], {}, hosts=[shop.app.state.host], opens=[alive(shop.app)])

    async with alive(front), local_service(front) as client:
        refused = await send(client, b'{"items": []}')

    assert refused.status_code == 503


async def test_a_worker_that_fails_is_told_of(shop: Shop) -> None:
    async with shop.client() as client:
        shop.worker.fails.set()
        answer = await answers(client, 503)

    assert answer.json()["reasons"] == ["stock: RuntimeError: the shelf broke"]


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (
            "maxmemory:1048576\r\nused_memory:2097152\r\nmem_not_counted_for_evict:10\r\n",
            "server: takes no writes: its memory is full, 2 of 1 MB are used",
        ),
        ("role:slave\r\nslave_read_only:1\r\n", "server: takes no writes: it is a replica"),
        ("aof_last_write_status:err\r\n", "server: takes no writes: its append-only file cannot be written"),
    ],
)
async def test_readiness_falls_while_the_server_takes_no_writes(shop: Shop, info: str, why: str) -> None:
    """Nothing can be ordered; a shop in which nothing goes on has no worker that would notice."""
    shop.server.info = INFO + info

    async with shop.client() as client:
        ready, health = [await client.get(path) for path in PATHS]
        shop.server.info = INFO
        back = await client.get("/readyz")

    assert (ready.status_code, ready.json()["reasons"]) == (503, [why])
    assert (health.json()["status"], health.json()["server"]["trouble"]) == ("degraded", why)
    assert (health.json()["server"]["reachable"], back.status_code) == (True, 200)


@pytest.mark.parametrize(
    "info",
    [
        "maxmemory:0\r\nused_memory:2097152\r\n",
        "maxmemory:2097152\r\nused_memory:2097162\r\nmem_not_counted_for_evict:20\r\n",
        "role:slave\r\nslave_read_only:0\r\n",
    ],
    ids=["no limit", "buffers do not count", "a replica that may be written"],
)
async def test_readiness_stays_where_the_server_takes_writes(shop: Shop, info: str) -> None:
    shop.server.info = INFO + info

    async with shop.client() as client:
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["reasons"]) == (200, [])


async def test_readiness_says_why_a_worker_does_not_work(shop: Shop) -> None:
    """A machine is told 503; whoever reads it at night must not be left with an empty list of reasons."""
    shop.worker.trouble = "You can't write against a read only replica."

    async with shop.client() as client:
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["checks"]["workers"]) == (503, {"stock": False})
    assert answer.json()["reasons"] == ["stock: You can't write against a read only replica."]


async def test_the_front_serves_routes_at_its_root_and_services_by_name(shop: Shop) -> None:
    front = create_front([routes()], {"stock-service": local_service(shop.app)}, opens=[alive(shop.app)])

    async with alive(front), local_service(front) as client:
        at_root = await send(client, b'{"items": []}')
        by_name = await client.get("/services/stock-service/api/conflict?limit=2")
        wrong = await client.post("/services/stock-service/api/orders", json={"items": 1})
        unknown = await client.get("/services/bank/health")
        ready, metrics = await client.get("/readyz"), await client.get("/metrics")
        index = await client.get("/")

    assert (at_root.status_code, by_name.status_code, wrong.status_code) == (202, 409, 422)
    assert (unknown.status_code, ready.status_code) == (404, 200)
    assert 'choreographed_saga_service_up{service="stock-service"} 1.0' in metrics.text
    assert "/services/stock-service/health" in index.text


async def test_the_page_at_the_base_url_leads_everywhere(shop: Shop) -> None:
    """A visitor who knows nothing but the address finds documents and probes, and no link is dead."""
    front = create_front([routes()], {"stock-service": local_service(shop.app)}, opens=[alive(shop.app)])

    async with alive(front), local_service(front) as client:
        found = {at: re.findall(r'href="([^"]+)"', (await client.get(at)).text) for at in ("/", "/services/")}
        (links, again) = ({urljoin(at, link) for link in links} for at, links in found.items())
        answers = {link: (await client.get(link)).status_code for link in links}
        documents = (await client.get("/docs")).text

    assert again == links
    assert set(answers) >= {"/docs", "/openapi.json", "/health", "/services/stock-service/docs"}
    assert set(answers.values()) == {200}
    assert "openapi.json" in documents
    below = {urljoin(f"/below{at}", link) for at, links in found.items() for link in links}
    assert below == {f"/below{link}" for link in links}


async def test_the_page_of_the_routes_of_a_service_shows_its_own(shop: Shop) -> None:
    """Also below the front, whose routes are others."""
    front = create_front([], {"stock-service": local_service(shop.app)}, opens=[alive(shop.app)])
    page = "/services/stock-service/docs"

    async with alive(front), local_service(front) as client:
        asked = re.findall(r'\burl: "([^"]+)"', (await client.get(page)).text)
        (document,) = [(await client.get(urljoin(page, url))).json() for url in asked]

    assert document == shop.app.openapi()


async def test_the_front_says_which_service_is_away() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    away = httpx.AsyncClient(transport=httpx.MockTransport(refuse), base_url="http://away")
    front = create_front([], {"bank-service": away})

    async with alive(front), local_service(front) as client:
        passed_on, ready = await client.get("/services/bank-service/x"), await client.get("/readyz")
        metrics = await client.get("/metrics")

    assert (passed_on.status_code, ready.status_code) == (503, 503)
    assert ready.json()["services"] == {"bank-service": {"status": "unreachable"}}
    assert 'service_up{service="bank-service"} 0.0' in metrics.text


def test_figures_are_told_in_time_whatever_a_service_in_this_process_waits_for() -> None:
    """A server that is frozen answers nobody, and whoever scrapes would hear nothing of all the others either."""

    async def never(_: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def scraped() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        front = create_front([], {"bank-service": local_service(Starlette(routes=[Route("/metrics", never)]))})
        async with alive(front), local_service(front) as client:
            began = loop.time()
            return (await client.get("/metrics")).text, loop.time() - began

    text, took_s = run(scraped())

    assert took_s == 4
    assert 'service_up{service="bank-service"} 0.0' in text


def test_merged_texts_name_each_family_once_and_keep_a_service_that_is_there() -> None:
    one, two = Telemetry("one"), Telemetry("two")
    one.event_handled("OrderCreated")
    two.retried()
    counted = expose([
        Figure(series.STARTED, ("order",), 3),
        Spread(series.DURATION, ("order",), ((0.1, 2), (1.0, 3), (math.inf, 0)), 1.5),
    ]).decode()  # fmt: skip

    text = merge({"a": one.render().decode() + counted, "b": two.render().decode()})

    assert text.count("# TYPE choreographed_saga_retries_total counter") == 1
    assert 'choreographed_saga_retries_total{service="two"} 1.0' in text
    assert 'choreographed_saga_started_total{business_process="order",service="a"} 3.0' in text
    assert 'choreographed_saga_duration_seconds_bucket{business_process="order",le="+Inf",service="a"} 5.0' in text
