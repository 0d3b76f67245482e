"""Requests to the routes that list and count sagas: every filter, deep in the list, both page sizes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, product
from urllib.parse import urlencode

from bench.stored import OFTEN, STORIES, TABLES, Life
from sagastream.pages import Position

LIMITS = (50, 200)
OF_EACH = 120  # questions of each kind, so that one outlier does not decide the p99
_FILTERS = ("status", "businessProcess", "initiatorId", "span")
_WINDOWS = ("PT1M", "PT1H", "P30D")
_ROUTES = "/api/choreographedsaga"


@dataclass(frozen=True, slots=True)
class Question:
    """One request, and its kind."""

    kind: str
    path: str


def questions(stored: Sequence[Life]) -> list[Question]:
    """Return questions of every kind, in a random order: each set of filters with both sizes, and the statistics."""
    chance = random.Random(1)
    stored = sorted(stored, key=_position)
    asked = [
        _page(chance, stored, filters, limit)
        for used in product((False, True), repeat=len(_FILTERS))
        for filters in [list(compress(_FILTERS, used))]
        for limit in LIMITS
        for _ in range(OF_EACH)
    ]
    asked += [Question("statistics", f"{_ROUTES}/statistics") for _ in range(OF_EACH)]
    windows = (chance.choice(_WINDOWS) for _ in range(OF_EACH))
    asked += [Question("statistics of a window", f"{_ROUTES}/statistics?window={window}") for window in windows]
    chance.shuffle(asked)
    return asked


def _page(chance: random.Random, stored: Sequence[Life], filters: Sequence[str], limit: int) -> Question:
    """Ask for the first page, or for one that begins anywhere in the list, with existing filter values."""
    told: dict[str, str | int] = {"limit": limit}
    if "status" in filters:
        told["status"] = chance.choice(list(STORIES))
    if "businessProcess" in filters:
        told["businessProcess"] = chance.choice(TABLES).name
    if "initiatorId" in filters:
        told["initiatorId"] = chance.choice((OFTEN, chance.choice(stored).initiator))
    if "span" in filters:
        first, last = sorted(chance.choice(stored).began_ms for _ in range(2))
        told |= chance.choice(({"from": first}, {"to": last}, {"from": first, "to": last}))
    if chance.random() < 0.7:
        told["cursor"] = _position(chance.choice(stored)).cursor()
    return Question(f"{' '.join(filters) or 'all'}, limit {limit}", f"{_ROUTES}/states?{urlencode(told)}")


def _position(life: Life) -> Position:
    return Position(life.began_ms, life.saga_id)
