"""Levels, and data without an order: reservations, requests, sagas. Speaks Redis; changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence

from books.facts import Level
from books.pages import members
from books.reading import PROCESS, level_of
from books.rules import Difference
from sagastream import keys as names
from sagastream.audit import Scene
from sagastream.audit.strays import absent, scanned
from sagastream.keys import COORDINATOR, Keys
from sagastream.ledger import BEGINNING, parse
from sagastream.replies import named


async def levels(scene: Scene) -> dict[str, Level]:
    """Return every level; each is read at one instant."""
    found: dict[str, Level] = {}
    key = _keys(scene, "stock").key
    async for page in members(scene, "stock", "levels"):
        replies = await scene.connection.pipeline([("HGETALL", key(f"level:{name}")) for name in page])
        for name, reply in zip(page, replies, strict=True):
            found[name] = level_of(name, named(reply))
    return found


async def strangers(scene: Scene) -> list[Difference]:
    """Return reservations and remembered requests whose order does not exist."""
    found = []
    async for ids in members(scene, "stock", "reservations"):
        for id_ in await _without_order(scene, ids):
            found.append(Difference(f"order {id_}", "has a reservation, but is not an order"))
    async for keys in scanned(scene.connection, _keys(scene, "order").key("request:*")):
        told = await scene.connection.pipeline([("HGET", key, "order_id") for key in keys])
        ids = [str(reply) for reply in told if isinstance(reply, str)]
        for id_ in await _without_order(scene, ids):
            found.append(Difference(f"order {id_}", "was acknowledged, but is not an order"))
        await scene.pause()
    return found


async def sagas_without_orders(scene: Scene, carrying: int) -> list[Difference]:
    """Return sagas whose order does not exist, as far as their beginning is still in the ledger.

    If there are as many sagas as are ``carrying`` an order, nothing is looked up: no two sagas have the same order.
    """
    sagas = _keys(scene, COORDINATOR).key(names.index("process", PROCESS))
    if await scene.connection.execute("ZCARD", sagas) == carrying:
        return []
    found = []
    async for ids in members(scene, COORDINATOR, names.index("process", PROCESS)):
        ledger = [("HGET", _keys(scene, "order").key(names.ledger(id_)), BEGINNING) for id_ in ids]
        begun = dict(zip(ids, await scene.connection.pipeline(ledger), strict=True))
        carried = {id_: _order_in(told) for id_, told in begun.items() if isinstance(told, str)}
        missing = set(await _without_order(scene, [order_id for order_id in carried.values() if order_id]))
        for id_, order_id in carried.items():
            if order_id in missing:
                found.append(Difference(f"saga {id_}", f"carries order {order_id}, which is not there", id_))
    return found


async def never_begun(scene: Scene, saga_ids: Sequence[str]) -> list[str]:
    """Return those of the sagas that the order service's ledger does not know."""
    key = _keys(scene, "order").key
    return await absent(scene.connection, {id_: key(names.ledger(id_)) for id_ in saga_ids})


def _order_in(told: str) -> str:
    try:
        return str(json.loads(parse(told).data).get("orderId", ""))
    except (ValueError, AttributeError):
        return ""


async def _without_order(scene: Scene, ids: Sequence[str]) -> list[str]:
    key = _keys(scene, "order").key
    return await absent(scene.connection, {id_: key(f"order:{id_}") for id_ in ids})


def _keys(scene: Scene, owner: str) -> Keys:
    return Keys(scene.settings.key_prefix, owner)
