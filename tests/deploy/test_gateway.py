"""The gateway sends every route to the service that offers it, changes nothing, and answers for those who cannot."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from sagastream.ports import free_port
from sagastream.project import read_project
from tests.deploy.played import Containers
from tests.deploy.processes import PERIOD_S, bare_environment, running, wait_until
from tests.needs import ROOT, program

pytestmark = pytest.mark.processes

WORDS = ("FRONT", "ORDER_SERVICE", "STOCK_SERVICE", "PAYMENT_SERVICE", "NOTIFICATION_SERVICE", "COORDINATOR")
# The project's name of it, and the contract's.
CALLED = {"coordinator": "choreographed-saga-coordinator"}


def targets(containers: Containers, paths: Collection[str]) -> dict[str, str]:
    """Return to whom the gateway sent the request for each path, once it has written that down: it answers first."""
    bound = time.monotonic() + 10
    while True:
        lines = [json.loads(line) for line in containers.log("gateway").read_text().splitlines() if line[-1:] == "}"]
        found = {line["path"]: line["target"] for line in lines if line["path"] in paths}
        if len(found) == len(paths) or time.monotonic() > bound:
            return found
        time.sleep(PERIOD_S)


def test_every_route_goes_to_the_service_that_offers_it(containers: Containers) -> None:
    asked: dict[str, str] = {}
    with httpx.Client(base_url=containers.base_url, timeout=20, trust_env=False) as client:
        for name in read_project(ROOT).services:
            offered = client.get(f"/services/{name}/openapi.json").json()["paths"]
            assert offered, name
            for template in offered:
                path = re.sub(r"\{\w+\}", lambda _: uuid4().hex, template) + f"/{uuid4().hex}"
                assert client.get(path).status_code < 500
                asked[path] = CALLED.get(name, name)

    assert targets(containers, asked) == {path: containers.address(name) for path, name in asked.items()}


@pytest.mark.parametrize(
    "path", ["/", "/health", "/readyz", "/metrics", "/openapi.json", "/services/coordinator/health"]
)
def test_everything_else_goes_to_the_front(containers: Containers, path: str) -> None:
    straight = httpx.get(f"http://{containers.address('front')}{path}", timeout=20, trust_env=False)
    answer = httpx.get(f"{containers.base_url}{path}", timeout=20, trust_env=False)

    assert (answer.status_code, answer.headers["content-type"]) == (200, straight.headers["content-type"])


@pytest.mark.parametrize(
    "target",
    [
        "/api/stock/store%2D1/product-1",
        "/api/stock/store-1%2Fproduct-1",
        "/api/stock/store-1//product-1",
        "/api/stock/" + quote("größe") + "/x",
        "/api/stock/store-1?start=0&limit=%31",
        "/api/stock/store-1/product-1/../product-2",
    ],
)
def test_a_request_arrives_as_it_was_sent(containers: Containers, target: str) -> None:
    def ask(address: str) -> tuple[int, bytes]:
        # Raw, because the client must not tidy up either.
        url = httpx.URL(f"http://{address}").copy_with(raw_path=target.encode())
        answer = httpx.get(url, trust_env=False)
        return answer.status_code, answer.content

    assert ask(containers.address("gateway")) == ask(containers.address("stock-service"))


def test_a_live_stream_arrives_message_by_message(containers: Containers) -> None:
    """Its beginning is here while it goes on; a gateway that collects it would keep it back for ever."""
    url = f"{containers.base_url}/api/v1/events"
    with httpx.stream("GET", url, timeout=20, trust_env=False) as answer:
        lines = answer.iter_lines()

        assert answer.headers["content-type"].startswith("text/event-stream")
        assert any(line == "event: reset" for line in lines)
        assert any(line == "event: figures" for line in lines)


def test_services_without_a_volume_write_nothing(containers: Containers) -> None:
    """They have none to write to: the file systems of their containers are read-only."""
    written = {path.name for path in (containers.directory / "data").iterdir()}
    with_volume = {name for name, service in containers.services.items() if ":/data:" in str(service.get("volumes"))}

    assert written <= with_volume


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A gateway before services that are all away."""
    directory = tmp_path_factory.mktemp("lonely")
    nobody, port = f"127.0.0.1:{free_port()}", free_port()
    environment = bare_environment(
        LISTEN=f"127.0.0.1:{port}", RUN_DIR=str(directory / "run"), RESOLVER="127.0.0.1", **dict.fromkeys(WORDS, nobody)
    )
    environment["PATH"] += f":{program('nginx', 'nginx-light').parent}"
    log = directory / "gateway.log"
    with (
        running([ROOT / "deploy/gateway.sh"], environment, log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):

        def answers() -> bool:
            try:
                return client.get("/livez").text == '{"status": "alive"}'
            except httpx.HTTPError:
                return False

        wait_until(answers, "the gateway answers", process, log)
        yield client


@pytest.mark.parametrize(
    "path", ["/", "/readyz", "/api/orders/x", "/api/choreographedsaga/states", "/services/x/health"]
)
def test_a_service_that_is_away_is_a_problem_to_try_again(lonely: httpx.Client, path: str) -> None:
    answer = lonely.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["status"] == 503
    assert int(answer.headers["retry-after"]) > 0


def test_a_body_too_large_for_anybody_is_a_problem(lonely: httpx.Client) -> None:
    answer = lonely.post("/api/orders/choreographed-saga", content=b" " * 2_000_000)

    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert answer.json()["status"] == 413


def test_a_body_larger_than_any_service_takes_is_not_even_passed_on(lonely: httpx.Client) -> None:
    largest, larger = (lonely.post("/api/orders", content=b" " * size).status_code for size in (65536, 65537))

    assert (largest, larger) == (503, 413)


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /livez HTTP/1.1\r\nHost: sh", b"POST /api/orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\n\r\n{"],
    ids=["nothing", "half a head", "half a body"],
)
def test_who_does_not_go_on_holds_no_connection(lonely: httpx.Client, said: bytes) -> None:
    """Else a few thousand of them, which cost their client nothing, would shut everybody out for a minute each time."""
    began = time.monotonic()
    with socket.create_connection((lonely.base_url.host, lonely.base_url.port or 80), 20) as wire:
        wire.sendall(said)
        try:
            heard = wire.recv(4096)
        except ConnectionResetError:
            heard = b""

    assert heard == b"" or heard.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 20


def test_a_word_that_is_missing_stops_the_gateway(tmp_path: Path) -> None:
    environment = bare_environment(RUN_DIR=str(tmp_path), RESOLVER="127.0.0.1", LISTEN="127.0.0.1:1")
    with running([ROOT / "deploy/gateway.sh"], environment, tmp_path / "log") as process:
        assert process.wait(10) != 0

    assert "FRONT: host:port" in (tmp_path / "log").read_text()
