"""The gateway to a provider over HTTP. Turns every inconclusive answer into ``OutcomeUnknown``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, Self, TypeVar

import aiohttp
from pydantic import ValidationError

from payment_service.gateway import Charged, Closed, OutcomeUnknown, Refund, Refused
from payment_service.provider_messages import (
    ChargeAnswer,
    ChargeRequest,
    CloseAnswer,
    KeyRequest,
    Message,
    RefundAnswer,
)
from sagastream import tracing

A = TypeVar("A", bound=Message)

_OK = 200
_MOST_READ = 1 << 16  # bytes of an answer
_KEPT_S = 4.0  # shorter than servers keep idle connections (uvicorn 5 s): a call on one being closed would fail


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    content: bytes


class Exchange(Protocol):
    """The transport that carries a request to the provider."""

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Answer:
        """Return the answer, whatever its status.

        Raises: ``aiohttp.ClientError`` if there is none.
        """
        ...


class ProviderConnections:
    """Connections to a provider, one per concurrent call, kept for reuse. Implements ``Exchange``.

    They set no time-out: the gateway limits whole calls. An answer longer than any valid one is not read to its end.
    """

    async def __aenter__(self) -> Self:
        """Create the session; no connection is opened yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_S),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,  # a small body can decompress to a huge one
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self._session.close()

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Answer:
        """Return the answer, whatever its status.

        Raises: ``aiohttp.ClientError`` if there is none.
        """
        async with self._session.post(url, headers=headers, data=content, allow_redirects=False) as answer:
            told = bytearray()
            async for part in answer.content.iter_any():
                told += part
                if len(told) > _MOST_READ:
                    raise aiohttp.ClientPayloadError(f"an answer of more than {_MOST_READ} bytes")
            return Answer(answer.status, bytes(told))


class HttpGateway:
    """A gateway to the provider at ``url``; ``timeout`` limits a whole call."""

    def __init__(self, exchange: Exchange, url: str, *, timeout: timedelta) -> None:
        self._exchange = exchange
        self._url = url.rstrip("/")
        self._timeout = timeout

    async def charge(self, key: str, amount_cents: int, currency: str, method: str) -> Charged | Refused:
        """Charge the amount, once.

        Raises: ``OutcomeUnknown``.
        """
        request = ChargeRequest(key=key, amount_cents=amount_cents, currency=currency, method=method)
        return (await self._post("/charges", request, ChargeAnswer)).answer()

    async def refund(self, key: str) -> Refund:
        """Refund everything taken under the key.

        Raises: ``OutcomeUnknown``.
        """
        return (await self._post("/refunds", KeyRequest(key=key), RefundAnswer)).answer()

    async def close(self, key: str) -> Closed:
        """Forbid every later charge under the key, and return the charge taken before, if any.

        Raises: ``OutcomeUnknown``.
        """
        return (await self._post("/closes", KeyRequest(key=key), CloseAnswer)).answer()

    async def _post(self, path: str, request: Message, answer: type[A]) -> A:
        content = request.model_dump_json(by_alias=True).encode()
        headers = {"Content-Type": "application/json"}
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                with tracing.calling("payment", f"POST {path}"):
                    if parent := tracing.current():
                        headers["traceparent"] = parent
                    response = await self._exchange.post(self._url + path, headers=headers, content=content)
        except TimeoutError:
            raise OutcomeUnknown(f"the provider did not answer {path} within {self._timeout}") from None
        except aiohttp.ClientError as error:
            raise OutcomeUnknown(f"the provider cannot be reached at {path}: {error!r}") from error
        if response.status != _OK:
            raise OutcomeUnknown(f"the provider answered {path} with {response.status}")
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            problems = error.error_count()
            raise OutcomeUnknown(f"the provider's answer to {path} has {problems} fields amiss") from None
