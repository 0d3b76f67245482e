"""Across processes an order is one trace, sent by OTLP over HTTP to whoever collects it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.processes.dev_shop import dev_shop
from tests.processes.orders import an_order
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP; ``spans`` are those of the caller's trace, each with the service it is of."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
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
            service = next(pair.value.string_value for pair in one.resource.attributes if pair.key == "service.name")
            spans = (span for scope in one.scope_spans for span in scope.spans)
            self.server.spans += [(service, span) for span in spans if span.trace_id.hex() == CALLER.split("-")[1]]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_an_order_is_one_trace_through_every_process(collector: Collector, tmp_path: Path) -> None:
    """The request at the front, four services, the coordinator, the provider and the mail."""
    settings = {
        "TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }  # fmt: skip
    expected = {
        ("front", "POST /api/orders/choreographed-saga"), ("stock", "stock reserve"), ("payment", "payment charge"),
        ("payment", "POST /charges"), ("payment-provider", "POST /charges"), ("order", "order confirm"),
        ("notification", "notification notify"), ("notification", "send mail"), ("saga", "saga advance order"),
    }  # fmt: skip
    async with dev_shop(tmp_path, "--procs", **settings) as shop:
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
