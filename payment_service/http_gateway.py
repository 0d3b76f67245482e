"""The gateway to a provider behind HTTP. Turns every answer that decides nothing into ``OutcomeUnknown``."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TypeVar

import httpx
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


class HttpGateway:
    """Reaches a provider by HTTP; ``timeout`` bounds a whole call, so the client needs none of its own."""

    def __init__(self, client: httpx.AsyncClient, *, timeout: timedelta) -> None:
        self._client = client
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
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                with tracing.calling("payment", f"POST {path}"):
                    trace = {"traceparent": parent} if (parent := tracing.current()) else {}
                    response = await self._client.post(path, json=request.model_dump(by_alias=True), headers=trace)
        except TimeoutError:
            raise OutcomeUnknown(f"the provider did not answer {path} within {self._timeout}") from None
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"the provider cannot be reached at {path}: {error!r}") from error
        if response.status_code != httpx.codes.OK:
            raise OutcomeUnknown(f"the provider answered {path} with {response.status_code}")
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            problems = error.error_count()
            raise OutcomeUnknown(f"the provider's answer to {path} has {problems} fields amiss") from None
