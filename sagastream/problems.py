"""Answer every HTTP error in one shape, RFC 9457 problem details. Never shows a stack trace or a value sent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import BaseRoute, Match, Route

from sagastream.entrance import Conflict, UnknownSaga
from sagastream.errors import ServerUnavailable, TooLarge, Undecodable
from sagastream.masking import masked
from sagastream.store import WrongStore

if TYPE_CHECKING:
    from pydantic import JsonValue

_log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1


class Problem(HTTPException):
    """An error answer; raise it in a route.

    ``extras`` become members besides ``title``, ``status`` and ``detail``.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str | None = None,
        extras: Mapping[str, JsonValue] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.title = title or HTTPStatus(status).phrase
        self.extras = dict(extras or {})

    def response(self) -> Response:
        """Return the problem as a response."""
        told = {"type": "about:blank", "title": self.title, "status": self.status_code, "detail": self.detail}
        return Response(
            json.dumps({**told, **self.extras}, ensure_ascii=False),
            self.status_code,
            dict(self.headers or {}),
            MEDIA_TYPE,
        )


def invalid(*errors: tuple[str, str]) -> Problem:
    """Return the problem for a body with wrong fields, given as pairs of a dotted field and its fault."""
    return _invalid([_error(("body", *field.split(".")), detail) for field, detail in errors])


def worded(kind: str, message: str, where: Sequence[str | int]) -> str:
    """Return a validator's message in terms of JSON, for a client that knows no dictionaries or tuples."""
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        how = ", sent as Content-Type: application/json" if tuple(where) == ("body",) else ""
        return f"must be a JSON object{how}"
    return "must be a JSON array" if kind in ("tuple_type", "list_type") else message


def unavailable(detail: str) -> Problem:
    """Return the problem for a request that may succeed a little later."""
    return Problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def no_such_saga(why: str, may_come: bool) -> Problem:
    """Return the problem for an unknown saga; if it ``may_come``, the client is told to ask again."""
    return Problem(404, why, headers={"Retry-After": str(RETRY_AFTER_S)} if may_come else None)


def install(app: FastAPI) -> None:
    """Make an app answer every known error as a problem."""

    async def http(request: Request, error: Exception) -> Response:
        if isinstance(error, Problem):
            return error.response()
        assert isinstance(error, StarletteHTTPException)  # what this handler is registered for
        detail = {
            404: f"there is nothing at {request.url.path}",
            405: f"{request.method} is not offered here",
        }
        headers = dict(error.headers or {})
        if error.status_code == 405:
            # The router names only the methods of the first route of this path.
            headers["Allow"] = ", ".join(sorted(_methods(request)))
        said = error.detail if error.status_code not in detail or error.detail != _phrase(error) else None
        problem = Problem(error.status_code, said or detail[error.status_code], headers=headers)
        return problem.response()

    async def validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # what this handler is registered for
        wrong = [_error(one["loc"], worded(one["type"], one["msg"], one["loc"])) for one in error.errors()]
        return _invalid(wrong).response()

    async def server(request: Request, _: Exception) -> Response:
        if request.method in ("GET", "HEAD"):
            return unavailable("the store cannot be reached right now; try again").response()
        then = "what was asked may have happened: send it again under the same key, or look first"
        return unavailable(f"the store cannot be reached or takes no writes right now; {then}").response()

    async def store(_: Request, __: Exception) -> Response:
        return unavailable("the store is not the one that is meant; nothing was written, try again later").response()

    async def unknown(_: Request, __: Exception) -> Response:
        return Problem(404, "there is no such saga, or it began so long ago that it is not remembered here").response()

    async def conflict(_: Request, __: Exception) -> Response:
        return Problem(409, "what is asked does not fit what is stored by now; look at it first").response()

    async def large(_: Request, error: Exception) -> Response:
        return Problem(413, str(error)).response()

    async def unreadable(request: Request, error: Exception) -> Response:
        incident, said = secrets.token_hex(6), masked(str(error))  # the error may quote stored data
        _log.error("request.unreadable", incident=incident, path=request.url.path, error=said)
        title = "What is stored cannot be read"
        return Problem(500, said, title=title, extras={"incident": incident}).response()

    app.add_exception_handler(StarletteHTTPException, http)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(ServerUnavailable, server)
    app.add_exception_handler(WrongStore, store)
    app.add_exception_handler(UnknownSaga, unknown)
    app.add_exception_handler(Conflict, conflict)
    app.add_exception_handler(TooLarge, large)
    app.add_exception_handler(Undecodable, unreadable)


def _methods(request: Request) -> set[str]:
    """Return the methods of the route that refused the request, and of all other routes at the same path."""
    paths = [
        (route.path, route.methods or ())
        for route in _routes(request.app.routes)
        if route.matches(dict(request.scope))[0] is not Match.NONE
    ]
    offered = {method for path, methods in paths if path == paths[0][0] for method in methods}
    return offered | {"HEAD"} if "GET" in offered else offered  # as guards.AnswersHead does


def _routes(routes: Iterable[BaseRoute]) -> Iterator[Route]:
    """Yield every route that has methods: FastAPI lists an included router as one route, which names none."""
    for route in routes:
        within = getattr(route, "effective_route_contexts", None)
        if within is not None:
            yield from within()
        elif isinstance(route, Route):
            yield route


def _phrase(error: StarletteHTTPException) -> str:
    return HTTPStatus(error.status_code).phrase


def _invalid(errors: Sequence[Mapping[str, JsonValue]]) -> Problem:
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(
        422,
        f"{first['field'] or 'the body'}: {first['detail']}{more}",
        title="Invalid request",
        extras={"errors": [dict(error) for error in errors]},
    )


def _error(where: Sequence[str | int], message: str) -> dict[str, JsonValue]:
    place, *path = where
    error: dict[str, JsonValue] = {
        "field": ".".join(str(part) for part in path),
        "in": str(place),
        "detail": message.removeprefix("Value error, "),
    }
    if place == "body":
        escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
        error["pointer"] = "#" + "".join(f"/{part}" for part in escaped)
    return error
