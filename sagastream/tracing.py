"""Traces: spans from a request through every event to the last effect. The only module that imports OpenTelemetry.

Tracing is off unless begun. While it is off, each traceable place costs one comparison, and OpenTelemetry is not
imported. A span names saga, event and handler; it never contains payloads or error messages.

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
"""A span with an older cause begins its own trace, linked to the old one: no backend keeps traces open for days."""

active: Tracing | None = None
"""The current tracing, None while tracing is off."""


class NotInstalled(SagastreamError):
    """Tracing is configured but its packages are missing; install the extra `otel`."""


class Tracing:
    """Makes spans, for several services if necessary, and passes each to one processor when it ends."""

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
                # The type only: the message may contain personal data.
                span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
                raise

    def traceparent(self) -> str:
        """Return the ``traceparent`` of the current span, empty if there is none."""
        carrier: MutableMapping[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get("traceparent", "")

    def end(self) -> None:
        """Export the remaining spans and stop."""
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
    """Turn tracing on for the block if the settings say so.

    Spans are sent by OTLP over HTTP as the ``OTEL_`` variables configure it, unless a ``processor`` is given.

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
    """Return the ``traceparent`` of the current span, empty while tracing is off."""
    return active.traceparent() if active is not None else ""


async def handled(call: Awaitable[T], by: str, name: str, cause: Envelope, tx: Transaction) -> T:
    """Await a handler within a span, which becomes the parent of the events it publishes. Only while ``active``."""
    assert active is not None
    with about(by, name, cause, tx.now_ms):
        tx.traceparent = active.traceparent()
        return await call


@contextmanager
def about(by: str, name: str, cause: Envelope, now_ms: int) -> Iterator[None]:
    """Make a span around the block that processes an event. Only while ``active``."""
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
    """Make a span around the block for an outside call; do nothing while tracing is off."""
    if active is None:
        yield
        return
    with active.span(by, what, "client"):
        yield


class TracedRequests:
    """Make a span for each request, a child of the caller's span if the request names one. Skips polled paths."""

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
