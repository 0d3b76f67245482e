"""Sends one webhook, once. Speaks HTTP to the receiver; decides neither when nor how often.

It resolves the name itself, checks all its addresses, and connects to a checked one: a later change of the name has
no effect. Redirects are not followed and proxies not used.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpx

from sagastream.errors import SagastreamError
from sagastream.settings import Settings
from sagastream.version import VERSION
from sagastream.webhooks.addresses import Address, is_allowed, is_private_but_named, networks_of, parsed
from sagastream.webhooks.signing import headers, keys_of

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
_HEADERS = {"content-type": "application/json", "user-agent": f"sagastream/{VERSION}"}
_LONGEST_END_S = 1.0  # for the rest of the answer after its status
_LOOKUPS = 4  # at a time
_MOST_READ = 1 << 14  # bytes of an answer; reading more costs more than a new connection


class NotDelivered(SagastreamError):
    """Receipt was not confirmed, though the webhook may have arrived; the message says why."""


class NotAllowed(NotDelivered):
    """The address must not be called."""


async def resolved(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_lookups(), look_up)
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


@cache
def _lookups() -> ThreadPoolExecutor:
    """Return threads of its own: an unresolvable name blocks one for long, and Redis look-ups must not wait for it."""
    return ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhooks: look up")


class Sender:
    """The client of one receiver; an async context manager, open while it is in use.

    With several secrets, each signs every request, so that they can be replaced one by one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: Resolve = resolved,
        now_s: Callable[[], float] = time.time,
        client: Callable[[], httpx.AsyncClient] | None = None,
    ) -> None:
        assert settings.webhook_url is not None  # without a receiver no sender is built
        assert settings.webhook_secret is not None  # settings refuse a URL without a secret
        self._url = httpx.URL(settings.webhook_url.get_secret_value())
        self._keys = keys_of(settings.webhook_secret.get_secret_value())
        self._private = networks_of(settings.webhook_private_networks)
        self._timeout_s = settings.webhook_timeout.total_seconds()
        self._turns = asyncio.Semaphore(settings.webhook_connections)
        self._resolve = resolve
        self._now_s = now_s
        self._open = client or _client
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._client = self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def send(self, id: str, body: bytes) -> None:
        """Send the webhook, and return once its receipt is confirmed.

        Raises: ``NotDelivered``; the same id may be sent again.
        """
        async with self._turns:  # outside the time-out: waiting for a turn is not the receiver's fault
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await self._attempt(id, body)
            except TimeoutError:
                raise NotDelivered(f"no answer within {self._timeout_s:g} s") from None
            except (httpx.HTTPError, OSError, UnicodeError) as error:
                raise NotDelivered(f"{type(error).__name__}: {error}") from None
            await _let_end(answer)
        status = answer.status_code
        if 300 <= status < 400:
            raise NotDelivered(f"answered {status}: redirects are not followed, name the new place in WEBHOOK_URL")
        if not 200 <= status < 300:
            raise NotDelivered(f"answered {status}")

    async def _attempt(self, id: str, body: bytes) -> httpx.Response:
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        found = [parsed(each) for each in await self._resolve(self._url.raw_host.decode("ascii"), port)]
        self._must_be_allowed(found)
        signed = {**_HEADERS, **headers(self._keys, id=id, at_s=int(self._now_s()), body=body)}
        last: httpx.TransportError | None = None
        share_s = self._timeout_s / 2 / max(1, len(found) - 1)  # half of the time is left for the last address
        for number, address in enumerate(found, 1):
            connect_s = share_s if number < len(found) else None
            try:
                return await self._post(address, signed, body, connect_s)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error  # nothing was sent, so the next address may be tried
        raise last or NotDelivered("the name has no address")

    def _must_be_allowed(self, found: Sequence[Address]) -> None:
        for address in found:
            if not is_allowed(address, self._private):
                raise NotAllowed(f"{address} is not an address of the internet, and not in WEBHOOK_PRIVATE_NETWORKS")
            if self._url.scheme != "https" and not is_private_but_named(address, self._private):
                raise NotAllowed(f"{address} is not in WEBHOOK_PRIVATE_NETWORKS, and elsewhere only https is sent to")

    async def _post(
        self, address: Address, signed: dict[str, str], body: bytes, connect_s: float | None
    ) -> httpx.Response:
        assert self._client is not None  # the context manager is open
        host = self._url.raw_host.decode("ascii")
        request = self._client.build_request(
            "POST",
            self._url.copy_with(host=str(address)),
            content=body,
            headers={**signed, "host": self._url.netloc.decode("ascii")},
            timeout=httpx.Timeout(None, connect=connect_s),
            extensions={"sni_hostname": host},  # the certificate must match the name, not the address
        )
        return await self._client.send(request, stream=True)


async def _let_end(answer: httpx.Response) -> None:
    """Read the rest of the answer, so that the connection can be reused; its content and its failures are ignored."""
    try:
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(_LONGEST_END_S):
                seen = 0
                async for chunk in answer.aiter_raw():
                    seen += len(chunk)
                    if seen > _MOST_READ:
                        break
    finally:
        await answer.aclose()


def _client() -> httpx.AsyncClient:
    # ``send`` limits the time of a whole call, and turns limit the number of calls. SSL_CERT_FILE is honoured.
    return httpx.AsyncClient(
        timeout=None, follow_redirects=False, trust_env=False, verify=httpx.create_ssl_context(),
        limits=httpx.Limits(max_connections=None), cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )  # fmt: skip
