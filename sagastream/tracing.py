"""Traces: spans from a request through every event to the last effect. The only door to OpenTelemetry.

Off unless begun: then a place that could be traced costs one comparison, and nothing is imported here.
A span says which saga, event and handler; never what they hold, nor the words of an error.

Source: W3C Trace Context; CloudEvents distributed tracing extension (``traceparent``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sagastream.envelope import Envelope
from sagastream.errors import SagastreamError
from sagastream.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span, Tracer

    from sagastream.transaction import Transaction

T = TypeVar("T")
Kind = Literal["server", "consumer", "client"]
PARENT_WITHIN = timedelta(minutes=1)
"""What was caused longer ago begins a trace of its own, linked to the old one: no backend keeps one open for days."""

active: Tracing | None = None
"""Set while traces are made."""


class NotInstalled(SagastreamError):
    """Traces are asked for and their packages are missing."""


class Tracing:
    """Makes spans, of several services if need be, and hands each to one processor when it ends."""

    def __init__(self, processor: SpanProcessor) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._processor = processor
        self._propagator = TraceContextTextMapPropagator()
        self._tracers: dict[str, Tracer] = {}

    @contextmanager
    def span(
        self, service: str, name: str, kind: Kind, *, cause: str = "", is_old: bool = False, **about: str | int
    ) -> Iterator[Span]:
        """Make a span current around the block: a child of ``cause``, or linked to it if it is old.

        ``cause`` is a ``traceparent``; without one the span is a child of the current span, or a root.
        """
        from opentelemetry import trace

        context = self._propagator.extract({"traceparent": cause}) if cause else None
        links = []
        if context is not None and is_old:
            links, context = [trace.Link(trace.get_current_span(context).get_span_context())], None
        with self._tracer(service).start_as_current_span(
            name, context, trace.SpanKind[kind.upper()], about, links, record_exception=False,
            set_status_on_exception=False,
        ) as span:  # fmt: skip
            try:
                yield span
            except BaseException as error:
                # Its words may hold anything.
                span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
                raise

    def traceparent(self) -> str:
        """Return how an event refers to the current span, empty if there is none."""
        carrier: MutableMapping[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get("traceparent", "")

    def end(self) -> None:
        """Hand over what is left."""
        self._processor.shutdown()

    def _tracer(self, service: str) -> Tracer:
        if service not in self._tracers:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider

            provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
            provider.add_span_processor(self._processor)
            self._tracers[service] = provider.get_tracer("sagastream")
        return self._tracers[service]


@contextmanager
def traced(settings: Settings, processor: Callable[[], SpanProcessor] | None = None) -> Iterator[None]:
    """Make traces around the block if the settings say so.

    They are sent by OTLP over HTTP, where and how the ``OTEL_`` variables say, unless ``processor`` takes them.

    Raises: ``NotInstalled``.
    """
    global active
    if settings.traces == "off":
        yield
        return
    active = Tracing((processor or _exporting)())
    try:
        yield
    finally:
        ended, active = active, None
        ended.end()


def current() -> str:
    """Return how an event refers to what is going on now (``traceparent``), empty while no traces are made."""
    return active.traceparent() if active is not None else ""


async def handled(call: Awaitable[T], by: str, name: str, cause: Envelope, tx: Transaction) -> T:
    """Await a handler within a span, and let what it publishes be caused by that span. Only while ``active``."""
    assert active is not None
    with about(by, name, cause, tx.now_ms):
        tx.traceparent = active.traceparent()
        return await call


@contextmanager
def about(by: str, name: str, cause: Envelope, now_ms: int) -> Iterator[None]:
    """Make a span for dealing with an event. Only while ``active``."""
    assert active is not None
    is_old = now_ms - cause.at_ms > PARENT_WITHIN // timedelta(milliseconds=1)
    told = {
        "saga.id": cause.saga_id,
        "saga.definition": cause.definition,
        "event.type": cause.type,
        "event.id": cause.id,
    }
    with active.span(by, f"{by} {name}", "consumer", cause=cause.traceparent, is_old=is_old, **told):
        yield


@contextmanager
def calling(by: str, what: str) -> Iterator[None]:
    """Make a span for a call to the outside around the block; nothing while no traces are made."""
    if active is None:
        yield
        return
    with active.span(by, what, "client"):
        yield


class TracedRequests:
    """Make a span for each request, a child of the caller's if it names one. Leaves out what machines poll."""

    def __init__(self, app: ASGIApp, service: str, polled: tuple[str, ...]) -> None:
        self._app = app
        self._service = service
        self._polled = polled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within its span."""
        if active is None or scope["type"] != "http" or scope["path"].startswith(self._polled):
            return await self._app(scope, receive, send)
        given = dict(scope["headers"]).get(b"traceparent", b"").decode("ascii", "replace")
        with active.span(self._service, scope["method"], "server", cause=given) as span:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = str(getattr(scope.get("route"), "path", "none"))
                    span.update_name(f"{scope['method']} {route}")
                    span.set_attributes({
                        "http.request.method": scope["method"], "http.route": route,
                        "http.response.status_code": message["status"],
                    })  # fmt: skip
                await send(message)

            await self._app(scope, receive, watched)


def _exporting() -> SpanProcessor:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as missing:
        raise NotInstalled(
            f"TRACES=otlp needs the extra `otel`: pip install 'sagastream[otel]' ({missing})"
        ) from missing
    return BatchSpanProcessor(OTLPSpanExporter())
