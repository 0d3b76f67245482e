"""The middleware before every app, as plain ASGI: body limits, strict JSON, one key, a gate, HEAD, a last resort."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sagastream.problems import Problem, unavailable

MAX_BODY_BYTES = 64 * 1024
BODY_WITHIN = timedelta(seconds=20)

_log = structlog.get_logger()
_LAST = {"Connection": "close"}
_NO_BODY: Message = {"type": "http.request", "body": b"", "more_body": False}


class LastResort:
    """Answer an unexpected error with an id that is also in the log, instead of a stack trace."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and answer 500 to an exception."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:  # the outermost frame of a request: no other code is left to answer it
            incident = secrets.token_hex(6)
            _log.exception("request.failed", incident=incident, method=scope["method"], path=scope["path"])
            if has_begun:
                raise
            problem = Problem(500, f"this is a fault of ours, logged as {incident}", extras={"incident": incident})
            await problem.response()(scope, receive, send)


class BodyGuard:
    """Read the whole body within limits of size and time, and refuse JSON that RFC 8259 does not allow.

    The limits also hold for chunked bodies, which do not announce their length. A request that states its length in two
    ways is refused: a gateway may follow the other one and see two requests where there is one (RFC 9112, 6.3). A
    request with two ``Idempotency-Key`` headers is refused: if it were repeated under the ignored key, it would count
    as another request.
    """

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY_BYTES, within: timedelta = BODY_WITHIN) -> None:
        self._app = app
        self._limit = limit
        self._within_s = within.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body read, or answer 400, 408 or 413."""
        if scope["type"] != "http" or not _may_have_body(scope):
            return await self._app(scope, receive, send)
        try:
            async with asyncio.timeout(self._within_s):
                body = await self._read(scope, receive)
        except Problem as problem:
            return await problem.response()(scope, receive, send)
        except TimeoutError:
            told = f"the body did not come within {self._within_s:g} s"
            return await Problem(408, told, headers=_LAST).response()(scope, receive, send)
        if body is None:
            return None
        is_told = False

        async def replay() -> Message:
            nonlocal is_told
            if is_told:
                return await receive()
            is_told = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers and b"content-length" in headers:
            raise Problem(400, "the body's length is told twice, by Content-Length and in chunks", headers=_LAST)
        if sum(name == b"idempotency-key" for name, _ in scope["headers"]) > 1:
            raise Problem(400, "there are several Idempotency-Key headers, and none counts; send one", headers=_LAST)
        if length.isdigit() and int(length) > self._limit:
            raise self._too_large()
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise self._too_large()
            if not message.get("more_body"):
                break
        if body and _is_json(scope):
            _refuse_loose_json(bytes(body))
        return bytes(body)

    def _too_large(self) -> Problem:
        return Problem(413, f"a body may have at most {self._limit} bytes", headers=_LAST)


class AnswersHead:
    """Answer HEAD like GET, without the body (RFC 9110, 9.3.2); monitoring from outside often uses HEAD.

    A route whose answer would go on is told that its client has gone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a HEAD on as a GET, and return only the head of the answer."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self._app(scope, receive, send)
        # Under this version of ASGI a stream listens for a disconnect, instead of waiting for a send to fail.
        asked = {**scope, "method": "GET", "asgi": {**scope.get("asgi", {}), "spec_version": "2.3"}}
        answered = asyncio.Event()
        to_hear = iter([_NO_BODY])

        async def heard() -> Message:
            for message in to_hear:
                return message
            await answered.wait()
            return {"type": "http.disconnect"}

        async def head_only(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope.update({**asked, "method": "HEAD"})  # with what the route noted in the scope
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                answered.set()

        await self._app(asked, heard, head_only)


class Gate:
    """Answer 503 to all paths except those always open, until the resources of the routes are open."""

    def __init__(self, app: ASGIApp, is_open: Callable[[], bool], always: tuple[str, ...]) -> None:
        self._app = app
        self._is_open = is_open
        self._always = always

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on once the gate is open."""
        if scope["type"] != "http" or self._is_open() or self._is_always(scope["path"]):
            return await self._app(scope, receive, send)
        await unavailable("the service is starting and waits for its store").response()(scope, receive, send)

    def _is_always(self, path: str) -> bool:
        # The console is served before the store is available, and shows that it waits for it.
        return path == "/" or path.startswith(("/console/", *self._always))


def _may_have_body(scope: Scope) -> bool:
    """Tell whether there may be a body: GET, HEAD and OPTIONS have none unless a header announces it (RFC 9112, 6)."""
    if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
        return True
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _is_json(scope: Scope) -> bool:
    """Tell whether any reader may take the body for JSON: the header may occur twice, and ignores case."""
    return any(name == b"content-type" and b"json" in value.lower() for name, value in scope["headers"])


def _refuse_loose_json(body: bytes) -> None:
    # The next reader of the body would accept NaN and Infinity, the last of two equal names, UTF-16, and nesting as
    # deep as the stack; for some other faults it would say that it cannot read the body, but not why.
    try:
        _STRICT.decode(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Problem(400, f"the body is not JSON in UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise Problem(400, f"the body is not JSON: {error.msg} at character {error.pos}") from error
    except ValueError as error:
        raise Problem(400, f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Problem(400, "the body is not JSON: it is nested too deeply") from error


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"the name {twice[:64]!r} stands twice in one object")
    return found


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


_STRICT = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_refuse_constant, parse_int=str, parse_float=str)
