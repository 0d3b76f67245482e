"""One trace holds the request, every service, the coordinator and the mail; without traces nothing is there of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coordinator.app import create_service as coordinator
from notification_service.app import create_service as notification
from order_service.app import create_service as order
from payment_service.app import create_service as payment
from sagastream import Bus, Settings, tracing
from sagastream.front import create_front
from sagastream.proxy import local_service
from sagastream.service import Context, alive, create_app, routers_of
from sagastream.telemetry import Telemetry
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from stock_service.app import create_service as stock
from tests.processes.orders import an_order
from tests.trip import TRIP, NoRoomLeft, RoomHeld, TripBooked
from tests.unit.core.casts import Script, hotel
from tests.unit.core.world import World, in_virtual_time

SERVICES = {
    "order-service": order, "stock-service": stock, "payment-service": payment,
    "notification-service": notification, "coordinator": coordinator,
}  # fmt: skip
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTLP = Settings(traces="otlp")


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Traces are made, and kept here."""
    kept = InMemorySpanExporter()
    with tracing.traced(OTLP, lambda: SimpleSpanProcessor(kept)):
        yield kept


def by(span: ReadableSpan) -> str:
    """Return the service a span is of."""
    return str(span.resource.attributes["service.name"])


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


@asynccontextmanager
async def shop(data_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Run the whole shop on the in-memory server, and yield a client of its base URL."""
    loop = asyncio.get_running_loop()
    server = MemoryServer(lambda: 1_700_000_000_000 + int(loop.time() * 1000))
    settings = Settings(data_dir=data_dir, redis_url="redis://memory.invalid", block=timedelta(milliseconds=20))
    services, apps = [], {}
    for name, create in SERVICES.items():
        bus = Bus(*(MemoryConnection(server) for _ in range(3)))
        context = Context(name, settings, bus, Telemetry(name), {})
        services.append(create(context))
        apps[name] = create_app(services[-1], context)
    front = create_front(
        routers_of(services), {name: local_service(app) for name, app in apps.items()},
        hosts=[app.state.host for app in apps.values()], opens=[alive(app) for app in apps.values()],
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(alive(front))
        yield await stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop", timeout=30)
        )


async def ordered(data_dir: Path, method: str = "CreditCard", headers: Mapping[str, str] | None = None) -> str:
    """Let the whole shop handle one order, and return the status of its saga."""
    async with shop(data_dir) as client:
        placed = await client.post(
            "/api/orders/choreographed-saga?wait=20", json=an_order(method=method), headers=headers
        )
        assert placed.status_code == 200, placed.text
        state = await client.get(f"/api/choreographedsaga/state/{placed.json()['sagaId']}")
        return str(state.json()["status"])


async def test_one_trace_holds_the_post_four_services_the_coordinator_and_the_mail(
    spans: InMemorySpanExporter, tmp_path: Path
) -> None:
    """From the caller's own span to the mail, each span the child of what caused it."""
    assert await ordered(tmp_path, headers={"traceparent": CALLER}) == "Completed"

    trace = trace_of("POST /api/orders/choreographed-saga", spans.get_finished_spans())
    assert {span.name for span in trace} >= {
        "stock reserve", "payment charge", "order confirm", "notification notify", "send mail", "saga advance order",
    }  # fmt: skip
    assert {by(span) for span in trace} >= {"front", "stock", "payment", "order", "notification", "saga"}
    assert format(trace[0].context.trace_id, "032x") == CALLER.split("-")[1]
    chain = [span.name for span in ancestors("send mail", trace)]
    assert chain == [
        "send mail", "notification notify", "order confirm", "payment charge", "stock reserve",
        "POST /api/orders/choreographed-saga",
    ]  # fmt: skip


async def test_what_turns_a_saga_back_is_in_its_trace(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    assert await ordered(tmp_path, method="DeclinedCard") == "Compensated"

    trace = trace_of("POST /api/orders/choreographed-saga", spans.get_finished_spans())
    chain = [span.name for span in ancestors("stock release", trace)]

    assert chain[:4] == ["stock release", "saga advance order", "payment charge", "stock reserve"]
    assert "order cancel" in {span.name for span in trace}


@in_virtual_time
async def test_a_saga_that_several_events_took_further_went_on_from_the_latest() -> None:
    """They come in one batch when they follow each other quickly, and are one write and one span."""
    kept, world, last = InMemorySpanExporter(), World(), CALLER.replace("b7ad", "ffff")
    with tracing.traced(OTLP, lambda: SimpleSpanProcessor(kept)):
        async with world.running(world.coordinator(TRIP)):
            await world.quiet()
        world.tell(TripBooked(nights=2), traceparent=CALLER)
        await asyncio.sleep(0.001)
        world.tell(NoRoomLeft(reason="none"), traceparent=last)
        async with world.running(world.coordinator(TRIP)):
            await world.quiet()

    (advance,) = [span for span in kept.get_finished_spans() if span.name == "saga advance trip"]
    assert advance.parent is not None
    assert format(advance.parent.span_id, "016x") == last.split("-")[2]


async def test_spans_name_the_saga_and_nothing_anybody_polls(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    async with shop(tmp_path) as client:
        for path in ("/metrics", "/health", "/readyz", "/livez"):
            await client.get(path)
        await asyncio.sleep(0.1)
        assert spans.get_finished_spans() == ()
        placed = (await client.post("/api/orders/choreographed-saga?wait=20", json=an_order())).json()

    consumed = [span for span in spans.get_finished_spans() if by(span) == "stock"]
    assert {attribute(span, "saga.id") for span in consumed} == {placed["sagaId"]}
    assert {attribute(span, "event.type") for span in consumed} == {"OrderCreated"}


async def test_a_handler_that_fails_says_so_without_its_words(spans: InMemorySpanExporter) -> None:
    """An error may hold anything, a customer's address too."""

    async def fails() -> None:
        raise LookupError("ann@example.com lives in Main Street 5")

    with pytest.raises(LookupError), tracing.calling("stock", "look"):
        await fails()

    (span,) = spans.get_finished_spans()
    assert (span.status.is_ok, span.status.description) == (False, "LookupError")
    assert span.events == ()
    assert "ann@" not in span.to_json()


@pytest.mark.parametrize(("age", "is_child"), [(timedelta(seconds=59), True), (timedelta(seconds=61), False)], ids=str)
def test_what_is_handled_late_begins_a_trace_of_its_own_linked_to_its_cause(age: timedelta, is_child: bool) -> None:
    """Within a minute a child, beyond it a link."""
    kept = InMemorySpanExporter()

    @in_virtual_time
    async def play() -> None:
        world = World()
        world.call("HSET", "hotel", "rooms", "free", 5)
        world.tell(TripBooked(nights=1), traceparent=CALLER)
        await asyncio.sleep(age.total_seconds())
        await world.work(world.consumer(hotel(Script())))
        (held,) = world.events("hotel", RoomHeld)
        (span,) = kept.get_finished_spans()
        assert held["traceparent"].split("-")[2] == format(span.context.span_id, "016x")

    with tracing.traced(OTLP, lambda: SimpleSpanProcessor(kept)):
        play()

    (span,) = kept.get_finished_spans()
    trace_id, caller = (int(part, 16) for part in CALLER.split("-")[1:3])
    assert (span.parent is not None and span.parent.span_id == caller) == is_child
    assert (span.context.trace_id == trace_id) == is_child
    assert [link.context.span_id for link in span.links] == ([] if is_child else [caller])


@in_virtual_time
async def test_without_traces_a_callers_trace_still_travels() -> None:
    """Somebody downstream may trace although nobody here does."""
    world = World()
    world.call("HSET", "hotel", "rooms", "free", 5)
    world.tell(TripBooked(nights=1), traceparent=CALLER)

    await world.work(world.consumer(hotel(Script())), world.coordinator(TRIP))

    assert [held["traceparent"] for held in world.events("hotel", RoomHeld)] == [CALLER]


def test_without_traces_nothing_of_the_extra_needs_to_be_installed() -> None:
    """The whole shop is imported where it is missing, and the places that could be traced work."""
    program = (
        "import sys; sys.modules['opentelemetry.sdk'] = sys.modules['opentelemetry.exporter'] = None\n"
        "import coordinator.app, order_service.app, payment_service.app, notification_service.app, stock_service.app\n"
        "import sagastream.cli.running, sagastream.tracing as t\n"
        "with t.traced(t.Settings()), t.calling('stock', 'look'): print(repr(t.current()), t.active)"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert said.stdout == "'' None\n"


def test_the_framework_tells_nobody_of_requests_by_itself() -> None:
    """Where OpenTelemetry is set up by whoever runs this, it would tell what customers sent, and each request twice."""
    program = (
        "import asyncio, httpx\n"
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "from tests.unit.test_guards import whole\n"
        "kept = InMemorySpanExporter()\n"
        "trace.set_tracer_provider(TracerProvider())\n"
        "trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(kept))\n"
        "async def ask():\n"
        "    async with httpx.AsyncClient(transport=httpx.ASGITransport(whole()), base_url='http://shop') as client:\n"
        "        return [(await client.post('/api/orders', json=body)).status_code for body in ({}, [])]\n"
        "print(asyncio.run(ask()), [span.name for span in kept.get_finished_spans()])"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2]
    )

    assert said.stdout == "[200, 422] []\n", said.stderr


def test_who_asks_for_traces_without_their_packages_is_told_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry.exporter'] = None\n"
        "from sagastream.cli import main; sys.exit(main(['service', '--name', 'x', 'nowhere:nothing']))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env={"TRACES": "otlp", "PATH": ""},
        cwd=Path(__file__).parents[2],
    )  # fmt: skip

    assert (said.returncode, "pip install 'sagastream[otel]'" in said.stderr) == (1, True), said.stderr


def trace_of(name: str, spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
    """Return the trace that a span of this name is part of, that span first."""
    (root,) = [span for span in spans if span.name == name]
    return [root, *(span for span in spans if span.context.trace_id == root.context.trace_id and span is not root)]


def ancestors(name: str, trace: Sequence[ReadableSpan]) -> Iterator[ReadableSpan]:
    """Yield a span, what caused it, what caused that, as far as this trace knows."""
    by_id = {span.context.span_id: span for span in trace}
    found = next((span for span in trace if span.name == name), None)
    while found is not None:
        yield found
        found = by_id.get(found.parent.span_id) if found.parent else None
