"""A repair of many sagas, begun and followed as an operator does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx

from bench.latencies.shop import TOKEN

_AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Drained:
    """The result of a repair: its seconds, the number of sagas visited, and how many of them were changed."""

    state: str
    visited: int
    changed: int
    why: str


async def begin_retry(http: httpx.AsyncClient, *, most: int, per_second: float) -> str:
    """Begin a repair that retries every saga that needs attention; return the repair's id."""
    asked = {
        "action": "retry", "filter": {"businessProcess": "order"}, "reason": "mails can be sent again",
        "actor": "latencies", "atMost": most, "perSecond": per_second,
    }  # fmt: skip
    answer = await http.post("/api/v1/repairs", json=asked, headers=_AUTHORIZED)
    return str(answer.raise_for_status().json()["id"])


async def ended(http: httpx.AsyncClient, repair: str, within_s: float) -> Drained:
    """Wait for the end of a repair.

    Raises: ``TimeoutError``.
    """
    async with asyncio.timeout(within_s):
        while True:
            answer = await http.get(f"/api/v1/repairs/{repair}", headers=_AUTHORIZED)
            told = answer.raise_for_status().json()
            if told["state"] != "running":
                return Drained(told["state"], told["visited"], told["changed"], told["why"] or "")
            await asyncio.sleep(_LOOK_S)
