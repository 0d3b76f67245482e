"""Pass requests on to a service, whole and unread. Adds nothing except a problem if the service does not answer."""

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
# RFC 9110, 7.6.1: these headers, and those that `Connection` names, are meant for one connection only; the length is
# computed anew. The host stays: the origin of the requesting page is compared with it.
_HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade", b"content-length"),
    )
)


def remote_service(url: str) -> httpx.AsyncClient:
    """Return a client of a service in another process."""
    # Longer than the longest `?wait=`; the connect time-out detects a service that is down.
    timeout = httpx.Timeout(40.0, connect=1.0)
    # Each call checks all idle connections; one that the other end is closing (uvicorn after 5 s) would fail the call.
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=8, keepalive_expiry=4.0)
    return httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits, trust_env=False, cookies=_no_cookies())


def local_service(app: ASGIApp) -> httpx.AsyncClient:
    """Return a client of a service in this process."""
    transport = LocalTransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://local", trust_env=False, cookies=_no_cookies())


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))  # cookies belong to the client and the service


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
    # Built here, not by the client, which would add cookies from other people's answers, and its own headers.
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
