"""What a project lets people try on the console: requests that begin a saga, as data. Knows no request by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True)
class Recipe:
    """One request that can be tried: what it is called, what will come of it, and the body to send."""

    name: str
    told: str
    body: Mapping[str, JsonValue]


@dataclass(frozen=True)
class Trial:
    """What can be tried: recipes whose bodies are posted to ``path``.

    The answer must be JSON with a ``sagaId``. A fresh ``Idempotency-Key`` is sent with each.
    """

    title: str
    path: str
    recipes: tuple[Recipe, ...]
