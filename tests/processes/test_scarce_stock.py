"""More people want a thing than there is of it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.processes.dev_shop import DevShop
from tests.processes.orders import an_order

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
PIECES = 50
ORDERS = 200


async def test_of_200_orders_at_once_for_50_pieces_exactly_50_are_completed(shop_in_one: DevShop) -> None:
    shop = shop_in_one
    assert await shop.stock("scarce-product") == (PIECES, 0)

    placed = await asyncio.gather(*(shop.place(an_order(("scarce-product", 1))) for _ in range(ORDERS)))

    assert Counter(await shop.ended(*placed)) == {"Completed": PIECES, "Failed": ORDERS - PIECES}
    assert await shop.stock("scarce-product") == (0, PIECES)
    assert sum(len(shop.calls(each)) for each in placed) == PIECES
    assert await shop.differences() == []
