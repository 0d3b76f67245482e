"""Requests passed on to a service, whole and unread. Adds nothing but a problem when nobody answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from sagastream.local_transport import LocalTransport
from sagastream.problems import Problem, unavailable

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# RFC 9110, 7.6.1: meant for one connection only, as is what `Connection` names; the length is made anew. The host
# stays: whose page asks is compared with it.
_HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade", b"content-length"),
    )
)


def remote_service(url: str) -> httpx.AsyncClient:
    """Return a client of a service in another process."""
    # Longer than the longest `?wait=`; a service that is down is noticed by the connect time-out.
    timeout = httpx.Timeout(40.0, connect=1.0)
    # Each idle connection is looked at for every call; one that is being closed (by uvicorn after 5 s) fails it.
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=8, keepalive_expiry=4.0)
    return httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits, trust_env=False, cookies=_no_cookies())


def local_service(app: ASGIApp) -> httpx.AsyncClient:
    """Return a client of a service in this process."""
    transport = LocalTransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://local", trust_env=False, cookies=_no_cookies())


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))  # they are between a client and the service


def proxy_routes(upstreams: Mapping[str, httpx.AsyncClient]) -> list[BaseRoute]:
    """Return the routes ``/services/{name}/…``, all methods."""
    routes: list[BaseRoute] = [
        Route(f"/services/{name}/{{path:path}}", partial(_pass_on, name, client), methods=list(_METHODS))
        for name, client in upstreams.items()
    ]
    return routes


async def _pass_on(name: str, client: httpx.AsyncClient, request: Request) -> Response:
    raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    target = raw_path.removeprefix(f"/services/{name}".encode())
    if request.scope["query_string"]:
        target += b"?" + request.scope["query_string"]
    try:
        url = client.base_url.copy_with(raw_path=target)
    except httpx.InvalidURL as error:
        raise Problem(414, f"an address this long cannot be passed on to {name}") from error
    # Made here, not by the client, which would add cookies of other people's answers, and what it says of itself.
    outgoing = httpx.Request(
        request.method,
        url,
        headers=_end_to_end(request.headers.raw),
        content=await request.body(),
    )
    try:
        answer = await client.send(outgoing, stream=True)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise unavailable(f"{name} cannot be reached right now") from error
    except httpx.TimeoutException as error:
        raise Problem(504, f"{name} did not answer in time; what was asked may have happened") from error
    except httpx.TransportError as error:
        raise Problem(502, f"{name} broke off before it answered; what was asked may have happened") from error

    response = StreamingResponse(_chunks(answer), answer.status_code)
    response.raw_headers = _end_to_end(answer.headers.raw)
    return response


async def _chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def _end_to_end(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    kept = [(name.lower(), value) for name, value in headers]
    named = {word.strip().lower() for name, value in kept if name == b"connection" for word in value.split(b",")}
    return [(name, value) for name, value in kept if name not in _HOP_BY_HOP and name not in named]
