"""Reads the provider's own record: from its file beside the shop, or through its routes. Judges nothing."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from http import HTTPStatus
from itertools import islice
from pathlib import Path

import aiohttp

from books.facts import Account
from books.reading import moved, recorded
from sagastream import SagastreamError, Settings

PAGE = 500
_PATIENCE = aiohttp.ClientTimeout(total=30.0)


class ProviderSilent(SagastreamError):
    """The provider does not return its record; check that it runs, and ``PAYMENT_PROVIDER_URL``."""


def is_open(settings: Settings) -> bool:
    """Tell whether the provider's record can be read."""
    return bool(_url()) or _file(settings).exists()


async def changes(settings: Settings) -> AsyncIterator[list[tuple[str, Account]]]:
    """Yield the change of each recorded call, with its key, oldest first, a page at a time.

    Raises: ``ProviderSilent``; ``ValueError`` for a damaged record.
    """
    url = _url()
    if not url:
        told = recorded(_file(settings))
        while page := list(islice(told, PAGE)):
            yield page
        return
    after: int | None = 0
    # Not httpx, whose every client creates a TLS context: megabytes that stay until garbage is collected.
    async with aiohttp.ClientSession(timeout=_PATIENCE) as http:
        while after is not None:
            where = f"{url.rstrip('/')}/records?after={after}&limit={PAGE}"
            try:
                async with http.get(where) as answer:
                    if answer.status != HTTPStatus.OK:
                        raise ProviderSilent(f"the provider at {url} answers {answer.status} instead of its record")
                    records = json.loads(await answer.read())
                page, after = [moved(call) for call in records["records"]], records.get("next")
            except (aiohttp.ClientError, TimeoutError, KeyError, ValueError, TypeError) as error:
                raise ProviderSilent(f"the provider at {url} does not show its record: {error!r}") from error
            yield page


def _url() -> str:
    return os.environ.get("PAYMENT_PROVIDER_URL", "")


def _file(settings: Settings) -> Path:
    return settings.data_dir / "provider" / "calls.jsonl"
