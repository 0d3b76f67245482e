"""The gateway to a provider in the same process. Enforces the caller's time-out; the provider's work goes on."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from payment_service.gateway import Charged, Closed, OutcomeUnknown, Refund, Refused
from payment_service.provider import KeyReused, Provider, ProviderBroken


class DirectGateway:
    """A gateway that calls the provider directly."""

    def __init__(self, provider: Provider, *, timeout: timedelta) -> None:
        self._provider = provider
        self._timeout = timeout

    async def charge(self, key: str, amount_cents: int, currency: str, method: str) -> Charged | Refused:
        """Charge the amount, once.

        Raises: ``OutcomeUnknown``.
        """
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await self._provider.charge(key, amount_cents, currency, method)
        except TimeoutError:
            raise OutcomeUnknown(f"the provider did not answer within {self._timeout}") from None
        except (ProviderBroken, KeyReused, OSError) as error:
            raise OutcomeUnknown(f"the provider failed: {error}") from error

    async def refund(self, key: str) -> Refund:
        """Refund everything taken under the key.

        Raises: ``OutcomeUnknown``.
        """
        try:
            return await self._provider.refund(key)
        except OSError as error:
            raise OutcomeUnknown(f"the provider failed: {error}") from error

    async def close(self, key: str) -> Closed:
        """Forbid every later charge under the key, and return the charge taken before, if any.

        Raises: ``OutcomeUnknown``.
        """
        try:
            return await self._provider.close(key)
        except OSError as error:
            raise OutcomeUnknown(f"the provider failed: {error}") from error
