"""Sends one webhook, once. Speaks HTTP to whoever is outside; decides neither when nor how often.

The name is looked up here, all its addresses are judged, and the connection goes to one that was judged: what the name
means a moment later is of no account. Redirects are not followed, proxies not asked.
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
_LONGEST_END_S = 1.0  # for what follows the status
_LOOKUPS = 4  # at a time
_MOST_READ = 1 << 14  # bytes of an answer; after more the connection is not worth keeping


class NotDelivered(SagastreamError):
    """Nobody said that the webhook was received, which may have happened all the same; the message says why."""


class NotAllowed(NotDelivered):
    """The address is not one that may be called."""


async def resolved(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_lookups(), look_up)
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


@cache
def _lookups() -> ThreadPoolExecutor:
    """Return threads for this alone: a name nobody answers for holds one for long, and others must find the store."""
    return ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhooks: look up")


class Sender:
    """The way to one receiver; an async context manager, open while it is used.

    Several secrets sign everything, so that they can be exchanged one after the other.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: Resolve = resolved,
        now_s: Callable[[], float] = time.time,
        client: Callable[[], httpx.AsyncClient] | None = None,
    ) -> None:
        assert settings.webhook_url is not None  # whoever names no receiver sends nothing
        assert settings.webhook_secret is not None  # no settings have the one without the other
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
        """Send it, and return once it was received.

        Raises: ``NotDelivered``; the same id may be sent again.
        """
        async with self._turns:  # waiting for one's turn is not the receiver's fault
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
        share_s = self._timeout_s / 2 / max(1, len(found) - 1)  # half of it is left for the last address
        for number, address in enumerate(found, 1):
            connect_s = share_s if number < len(found) else None
            try:
                return await self._post(address, signed, body, connect_s)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error  # nothing was sent: the next address is as good
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
        assert self._client is not None  # used while it is open
        host = self._url.raw_host.decode("ascii")
        request = self._client.build_request(
            "POST",
            self._url.copy_with(host=str(address)),
            content=body,
            headers={**signed, "host": self._url.netloc.decode("ascii")},
            timeout=httpx.Timeout(None, connect=connect_s),
            extensions={"sni_hostname": host},  # whose certificate it must be, as if the name had been called
        )
        return await self._client.send(request, stream=True)


async def _let_end(answer: httpx.Response) -> None:
    """Read what follows the status, so that the connection can be kept; nothing of it counts, nor whether it ends."""
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
    # How long a call may take is bounded as a whole, and how many there are by turns. SSL_CERT_FILE is heeded.
    return httpx.AsyncClient(
        timeout=None, follow_redirects=False, trust_env=False, verify=httpx.create_ssl_context(),
        limits=httpx.Limits(max_connections=None), cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )  # fmt: skip
