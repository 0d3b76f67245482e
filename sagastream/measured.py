"""Count every HTTP request and time its answer, as plain ASGI. Changes neither."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter

from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sagastream.telemetry import Telemetry

NO_ROUTE = "none"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HELD_BACK = "sagastream.held_back"


class Measured:
    """Report every answer to telemetry: method, route (its template, never the requested path) and status class.

    A HEAD counts as the GET it is answered as; methods that a route does not offer count as ``other``. The time is that
    until the answer begins, so a stream counts as answered once it flows. A request whose client left before the answer
    is not counted.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, clock: Callable[[], float] = perf_counter) -> None:
        self._app = app
        self._telemetry = telemetry
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and observe the beginning of its answer."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun_s = self._clock()

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                asked = "GET" if scope["method"] == "HEAD" else scope["method"]
                method = asked if asked in _offered(route) else "other"
                took_s = None if _HELD_BACK in scope else self._clock() - begun_s
                self._telemetry.answered(method, _path(route), message["status"], took_s)
            await send(message)

        await self._app(scope, receive, watched)


def held_back(scope: Scope) -> None:
    """Exclude the time of this request: its client asked to be answered later."""
    scope[_HELD_BACK] = True


def expect_requests(telemetry: Telemetry, routes: Iterable[BaseRoute]) -> None:
    """Export the series of these routes at zero from the start, so that no rate misses the first failure."""
    for route in routes:
        if getattr(route, "methods", None):
            for method in sorted(_offered(route)):
                telemetry.expect_request(method, _path(route))


def _offered(route: object) -> frozenset[str]:
    """Return the methods that are counted separately: the route's, or all known ones if the route names none."""
    return _METHODS & (getattr(route, "methods", None) or _METHODS)


def _path(route: object) -> str:
    # Only operations are noted in the scope. Pages, a proxy's routes and unserved paths share one name.
    return str(getattr(route, "path", NO_ROUTE))
