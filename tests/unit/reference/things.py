"""What the product offers to those outside, read from the product itself: routes, events, series and panels."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import httpx
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

import events
from coordinator.app import create_service as coordinator
from notification_service.app import create_service as notification
from order_service.app import create_service as order
from payment_service.app import create_provider_service as provider
from payment_service.app import create_service as payment
from sagastream import Bus, Event, Refusal, Settings, event, series
from sagastream.coordinator.console.api import console_routes
from sagastream.front import create_front
from sagastream.hosting import Host
from sagastream.probes import probes
from sagastream.series import PREFIX, Series
from sagastream.service import Context, create_app, mark_of
from sagastream.telemetry import Telemetry
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from stock_service.app import create_service as stock
from tests.monitoring.dashboard import BOARDS, load, panels
from tests.unit.reference.evidence import GAP, Evidence

_ABSTRACT = {Event, Refusal, event.StepRequest, events.OrderEvent}
_SETTINGS = Settings(redis_url="redis://nowhere.invalid", key_prefix="reference:")


@dataclass(frozen=True)
class Thing:
    """Something offered, as the reference names it, and how to tell that a test speaks of it."""

    name: str
    is_in: Callable[[Evidence], bool]


def routes() -> Iterator[Thing]:
    """Yield every route of every service and of the base URL, those for machines and people included."""
    for name in dict.fromkeys([*_published(), *_unpublished()]):
        method, path = name.split(" ")
        yield Thing(name, _asks(method, path))


def all_events() -> Iterator[Thing]:
    """Yield every event there is: the shop's, and those by which the library speaks."""
    for kind in (*_events(events), *_events(event)):
        yield Thing(kind.type_name(), _mentions(kind.type_name()))


def all_series() -> Iterator[Thing]:
    """Yield every series, with its labels as they are exported."""
    for constant, one in vars(series).items():
        if isinstance(one, Series):
            labels = f"{{{','.join(one.labels)}}}" if one.labels else ""
            yield Thing(PREFIX + one.name + labels, _reads(constant, one.name))


def all_panels() -> Iterator[Thing]:
    """Yield every panel of every dashboard."""
    for name in BOARDS:
        for panel in panels(load(name)):
            yield Thing(panel.title, _mentions(panel.title))


def _asks(method: str, path: str) -> Callable[[Evidence], bool]:
    words = {method, method.lower(), "request"} if method != "GET" else {method, "get", "request", "stream"}
    # The last word of a path may come from elsewhere; then it must be told elsewhere.
    *upto, last = path.split("/")
    parts = [*(f"/{_part(part)}" for part in upto[1:]), f"/(?P<last>{_part(last)}|{GAP})"]
    pattern = rf"^({GAP}|http://[^/]+|{method} )?{''.join(parts)}(\?|$|{GAP}$)"

    def is_in(told: Evidence) -> bool:
        if not (words & told.names or told.tells(rf"\b{method}\b")):
            return False
        found = [match["last"] for text in _paths(told) if (match := re.search(pattern, text))]
        return any(one != GAP or last.startswith("{") or told.tells(f"^{last}$") for one in found)

    return is_in


def _part(part: str) -> str:
    return re.sub(r"\\\{[^}]*\\\}", "[^/?]+", re.escape(part))


def _paths(told: Evidence) -> Iterator[str]:
    """Yield every text, and each path as a client with a base URL asks it."""
    bases = [match[1] for text in told.texts if (match := re.fullmatch(r"http://[^/]+(/.+)", text))]
    for text in told.texts:
        yield text
        if text.startswith("/"):
            yield from (base + text for base in bases)


def _mentions(words: str) -> Callable[[Evidence], bool]:
    return lambda told: words in told.names or told.tells(rf"\b{re.escape(words)}\b")


def _reads(constant: str, name: str) -> Callable[[Evidence], bool]:
    part = "(_bucket|_sum|_count)?"
    pattern = rf"(?<![a-z_]){PREFIX}{name}{part}(?![a-z_])|^{GAP}?{name}{part}({{|{GAP}|$)"
    return lambda told: f"series.{constant}" in told.names or told.tells(pattern)


def _events(module: ModuleType) -> list[type[Event]]:
    found = [one for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, Event)]
    mine = [one for one in found if one.__module__ == module.__name__ and one not in _ABSTRACT]
    return sorted(mine, key=lambda one: inspect.getsourcelines(one)[1])


def _published() -> Iterator[str]:
    for create in (order, stock, payment, notification, coordinator, provider):
        context = _context()
        paths = create_app(create(context), context).openapi()["paths"]
        yield from (f"{method.upper()} {path}" for path, methods in paths.items() for method in methods)


def _unpublished() -> Iterator[str]:
    """Yield what is asked by machines, or is a page for people, and so stands in no OpenAPI document."""
    front = create_front([], {"{name}": httpx.AsyncClient()})
    for route in (*front.routes, *(route for route in console_routes().routes if not _is_published(route))):
        assert isinstance(route, Route), f"{route} is something new"
        path = re.sub(r":path\b", "", route.path)
        yield f"{'GET' if 'GET' in (route.methods or ()) else route.methods} {path}"
    context = _context()
    host = Host("reference", server=context.bus.query, url="", store=mark_of(context))
    for route in probes(host, context.bus.query, context.telemetry).routes:
        assert isinstance(route, Route), f"{route} is something new"
        yield f"GET {route.path}"


def _is_published(route: BaseRoute) -> bool:
    return isinstance(route, APIRoute) and route.include_in_schema


def _context() -> Context:
    connection = MemoryConnection(MemoryServer(lambda: 0))
    return Context("reference", _SETTINGS, Bus(connection, connection, connection), Telemetry("reference"), {})
