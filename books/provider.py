"""The provider's own record, wherever the provider is: its file beside the shop, or its routes. Judges nothing."""

from __future__ import annotations

import os

import httpx

from books.facts import Account
from books.reading import add_call, read_accounts
from sagastream import SagastreamError, Settings

PAGE = 5_000


class ProviderSilent(SagastreamError):
    """The provider does not show its record; see whether it runs, and ``PAYMENT_PROVIDER_URL``."""


async def accounts(settings: Settings) -> dict[str, Account] | None:
    """Return what stands under every key at the provider, None where its record is out of reach.

    Raises: ``ProviderSilent``; ``ValueError`` for a record that is damaged.
    """
    url = os.environ.get("PAYMENT_PROVIDER_URL")
    if not url:
        calls = settings.data_dir / "provider" / "calls.jsonl"
        return read_accounts(calls) if calls.exists() else None
    found: dict[str, Account] = {}
    after: int | None = 0
    try:
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            while after is not None:
                answer = await http.get("/records", params={"after": after, "limit": PAGE})
                told = answer.raise_for_status().json()
                for call in told["records"]:
                    add_call(found, call)
                after = told.get("next")
    except (httpx.HTTPError, KeyError, ValueError, TypeError) as error:
        raise ProviderSilent(f"the provider at {url} does not show its record: {error!r}") from error
    return found
