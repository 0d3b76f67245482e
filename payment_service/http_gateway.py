"""The gateway to a provider behind HTTP. Turns every answer that decides nothing into ``OutcomeUnknown``.

It speaks through httpx's own engine: what httpx adds to it (redirects, cookies, authentication, proxies) no call here
uses, and takes longer than the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

import httpcore
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
_TROUBLE = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, httpcore.UnsupportedProtocol)


class Exchange(Protocol):
    """What carries a request to the provider: ``httpcore.AsyncConnectionPool``."""

    async def request(
        self, method: str, url: str, *, headers: Sequence[tuple[str, str]], content: bytes
    ) -> httpcore.Response:
        """Return the whole answer.

        Raises: httpcore's errors.
        """
        ...


def provider_connections() -> httpcore.AsyncConnectionPool:
    """Return what keeps connections to a provider.

    The gateway bounds whole calls, and waiting for a free connection must not count as silence. Few are kept: each
    idle one is looked at twice for every call.
    """
    return httpcore.AsyncConnectionPool(max_connections=None, max_keepalive_connections=8, keepalive_expiry=5.0)


class HttpGateway:
    """Reaches the provider at ``url``; ``timeout`` bounds a whole call."""

    def __init__(self, exchange: Exchange, url: str, *, timeout: timedelta) -> None:
        self._exchange = exchange
        self._url = url.rstrip("/")
        self._timeout = timeout

    async def charge(self, key: str, amount_cents: int, currency: str, method: str) -> Charged | Refused:
        """Take the money, once.

        Raises: ``OutcomeUnknown``.
        """
        request = ChargeRequest(key=key, amount_cents=amount_cents, currency=currency, method=method)
        return (await self._post("/charges", request, ChargeAnswer)).answer()

    async def refund(self, key: str) -> Refund:
        """Give back everything taken under the key.

        Raises: ``OutcomeUnknown``.
        """
        return (await self._post("/refunds", KeyRequest(key=key), RefundAnswer)).answer()

    async def close(self, key: str) -> Closed:
        """Forbid every later charge under the key, and say what was taken.

        Raises: ``OutcomeUnknown``.
        """
        return (await self._post("/closes", KeyRequest(key=key), CloseAnswer)).answer()

    async def _post(self, path: str, request: Message, answer: type[A]) -> A:
        content = request.model_dump_json(by_alias=True).encode()
        headers = [("Content-Type", "application/json")]
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                with tracing.calling("payment", f"POST {path}"):
                    if parent := tracing.current():
                        headers.append(("traceparent", parent))
                    response = await self._exchange.request("POST", self._url + path, headers=headers, content=content)
        except TimeoutError:
            raise OutcomeUnknown(f"the provider did not answer {path} within {self._timeout}") from None
        except _TROUBLE as error:
            raise OutcomeUnknown(f"the provider cannot be reached at {path}: {error!r}") from error
        if response.status != _OK:
            raise OutcomeUnknown(f"the provider answered {path} with {response.status}")
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            problems = error.error_count()
            raise OutcomeUnknown(f"the provider's answer to {path} has {problems} fields amiss") from None
