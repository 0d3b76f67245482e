"""What leaves the processes of a shop: an order is one trace, by OTLP over HTTP, and nothing says what is personal."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sagastream.cli import main
from sagastream.keys import Keys
from sagastream.ports import free_port
from sagastream.settings import Settings
from sagastream.tokens import made_token
from tests.processes.dev_shop import DevShop, dev_shop
from tests.processes.orders import Placed, an_order
from tests.processes.shop import PREFIX
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP: ``told`` is all of it, ``spans`` the caller's trace, with services."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.told: list[str] = []
        self.spans: list[tuple[str, Span]] = []

    def names(self) -> set[tuple[str, str]]:
        """Return the service and name of each span."""
        return {(service, span.name) for service, span in self.spans}


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for one in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.told.append(str(one))
            service = next(pair.value.string_value for pair in one.resource.attributes if pair.key == "service.name")
            spans = (span for scope in one.scope_spans for span in scope.spans)
            self.server.spans += [(service, span) for span in spans if span.trace_id.hex() == CALLER.split("-")[1]]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevShop]:
    """A shop of many processes that says everything it can say, and whose mail server is not there."""
    settings = {
        "TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200", "LOG_LEVEL": "DEBUG", "SMTP_URL": f"smtp://127.0.0.1:{free_port()}",
        "PAYMENT_TIMEOUT": "1",
    }  # fmt: skip
    async with dev_shop(tmp_path_factory.mktemp("told"), "--procs", **settings) as shop:
        yield shop


async def test_an_order_is_one_trace_through_every_process(collector: Collector, shop: DevShop) -> None:
    """The request at the front, four services, the coordinator, the provider and the mail."""
    expected = {
        ("front", "POST /api/orders/choreographed-saga"), ("stock", "stock reserve"), ("payment", "payment charge"),
        ("payment", "POST /charges"), ("payment-provider", "POST /charges"), ("order", "order confirm"),
        ("notification", "notification notify"), ("notification", "send mail"), ("saga", "saga advance order"),
    }  # fmt: skip
    answer = await shop.http.post(
        "/api/orders/choreographed-saga?wait=20", json=an_order(), headers={"traceparent": CALLER}
    )
    assert answer.status_code == 200, answer.text

    async def all_are_told() -> bool:
        return expected <= collector.names()

    await until(all_are_told, "every span is sent")

    ids = {span.span_id: span for _, span in collector.spans}
    parents = [span.parent_span_id.hex() for _, span in collector.spans if span.parent_span_id not in ids]
    assert parents == [CALLER.split("-")[2]], "one span is the caller's child, all others descend from it"


ADDRESS, CARD, NAME = "ann.meier@example.org", "4111 1111 1111 1111", "Lieselotte Meier"
CARDS = (CARD, CARD.replace(" ", ""), CARD.replace(" ", "-"))
PERSONAL = (ADDRESS, "ann.meier", NAME, "Lieselotte", *CARDS, "Elm Street")


async def test_nothing_that_leaves_says_what_is_personal(
    collector: Collector, shop: DevShop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logs, traces, metrics, commands and letters of a run in which customers sent it wherever they could."""
    sagas = await _told_everything_personal(shop)
    monkeypatch.setenv("DATA_DIR", str(shop.data_dir))
    left = {}
    for words in _looks(sagas):
        await asyncio.to_thread(main, words)
        left[" ".join(words)] = capfd.readouterr()
    letters = json.loads(left["dead-letters list --owner notification --json"].out)["letters"]
    assert letters
    token = made_token(Settings(data_dir=shop.data_dir))
    assert token is not None
    ann = {"Authorization": f"Bearer {token.get_secret_value()}"}
    over_http, whole = "", ""
    for letter in letters:
        place = ["notification", letter["id"]]
        for words in (["show", *place], ["show", *place, "--json"], ["drop", *place, "--reason", "a test", "--yes"]):
            await asyncio.to_thread(main, ["dead-letters", *words])
            left[" ".join(words)] = capfd.readouterr()
        over_http += (await shop.http.get("/".join(["/api/v1/dead-letters", *place]), headers=ann)).text
        await asyncio.to_thread(main, ["dead-letters", "show", *place, "--unmasked"])
        whole += capfd.readouterr().out

    assert ADDRESS in whole, "whoever asks for it sees it"
    told = {name: out + err for name, (out, err) in left.items()}
    told |= {path.name: path.read_text(errors="replace") for path in shop.data_dir.rglob("*.log")}
    told["metrics"] = (await shop.http.get("/metrics")).text
    told["figures"] = (await shop.http.get("/api/choreographedsaga/metrics")).text
    told["letters over HTTP"] = over_http
    told["traces"] = "\n".join(collector.told)
    leaks = [(what, word) for what, text in told.items() for word in PERSONAL if word in text]
    assert leaks == []
    for what, word in (("traces", "send mail"), ("metrics", "orders"), ("shop.log", "event.buried"),
                       ("letters over HTTP", "***"),
                       (f"show {sagas[0]}", "OrderConfirmed"), (f"show {sagas[1]}", "***")):  # fmt: skip
        assert word in told[what], f"{what} was not looked at"


async def _told_everything_personal(shop: DevShop) -> list[str]:
    """Send personal data in every field that takes it, and in some that do not; return the sagas, once it is told."""
    bought = await shop.place({**an_order(), "email": ADDRESS}, key=CARD.replace(" ", ""))
    slow = await shop.place({**an_order(method="SlowProvider"), "email": ADDRESS})
    why = {"reason": f"ordered twice by {ADDRESS}, paid with {CARD}"}
    (await shop.http.post(f"/api/orders/{slow.order_id}/cancel", json=why)).raise_for_status()
    item = {"productId": "product-1", "productName": f"for {NAME}, Elm Street 5", "quantity": 1, "price": 149.99}
    (await shop.http.post("/api/orders", json={"userId": "user-1", "items": [item]})).raise_for_status()
    cards = ({"customerId": card} for card in CARDS)
    for wrong in ({"email": f"{NAME} <{ADDRESS}>"}, {"card": CARD}, {"totalAmount": ADDRESS}, *cards):
        answer = await shop.http.post("/api/orders/choreographed-saga", json={**an_order(), **wrong})
        assert answer.status_code == 422, answer.text
        assert not any(word in answer.text for word in PERSONAL), answer.text
    refused: list[Placed] = []
    for card in CARDS[1:]:
        answer = await shop.http.post("/api/orders", json={"userId": card, "items": [item]})
        assert (answer.status_code, card in answer.text) == (422, False)
        (await shop.http.get(f"/api/orders/user/{card}")).raise_for_status()
        line = {"productId": card, "quantity": 1, "unitPrice": "149.99", "totalPrice": "149.99"}
        refused += [await shop.place({**an_order(), **wrong}) for wrong in ({"storeId": card}, {"items": [line]})]
    assert (await shop.http.get(f"/api/orders/user/{ADDRESS}", params={"card": CARD})).is_client_error
    forged = next(fields for _, fields in await shop.entries(Keys(PREFIX, "order").events("OrderConfirmed")))
    forged["data"] = json.dumps({**json.loads(forged["data"]), "totalCents": f"{NAME}, {ADDRESS}, {CARD}"})
    flat = [part for pair in {**forged, "id": "forged"}.items() for part in pair]
    await shop.server.execute("XADD", Keys(PREFIX, "order").events("OrderConfirmed"), "*", *flat)

    async def are_put_away() -> bool:
        log = (shop.data_dir / "shop.log").read_text().splitlines()
        buried = [line for line in log if '"event.buried"' in line]
        return all(any(why in line for line in buried) for why in ("NotSent", "Misfit"))

    await until(are_put_away, "what cannot be sent or read is put away", within_s=60)
    assert await shop.ended(slow) == ["Compensated"]
    assert set(await shop.ended(*refused)) == {"Failed"}
    return [placed.saga_id for placed in (bought, slow, *refused)]


def _looks(sagas: Sequence[str]) -> Iterator[list[str]]:
    yield from (["sagas"], ["sagas", "--json"], ["streams"], ["doctor"], ["audit"], ["trail"])
    yield ["dead-letters", "list"]
    yield ["dead-letters", "list", "--owner", "notification", "--json"]
    for saga in sagas:
        yield from (["show", saga], ["show", saga, "--json"], ["audit", saga])
    yield ["watch", sagas[1]]  # which has ended
