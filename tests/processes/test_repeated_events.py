"""The same event comes again and again: by a client that is unsure, by hand, by a publisher that sent it twice."""

from __future__ import annotations

import pytest

from sagastream.keys import Keys
from tests.processes.dev_shop import DevShop
from tests.processes.orders import Placed, an_order
from tests.processes.shop import PREFIX
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
CREATED = Keys(PREFIX, "order").events("OrderCreated")


@pytest.mark.parametrize("is_ended", [False, True], ids=["while it is new", "when it has ended"])
async def test_an_order_created_appended_three_times_has_one_effect(shop_in_one: DevShop, is_ended: bool) -> None:
    shop = shop_in_one
    before = await shop.stock("product-3")
    placed = await shop.place(an_order(("product-3", 2)))
    if is_ended:
        await shop.ended(placed)

    for _ in range(3):
        await append_again(shop, placed)

    assert await shop.ended(placed) == ["Completed"]
    for group in ("stock", "saga"):
        await is_through(shop, group)
    assert await shop.stock("product-3") == (before[0] - 2, before[1] + 2)
    for owner, type_name in (("stock", "StockReserved"), ("payment", "PaymentProcessed"), ("order", "OrderConfirmed")):
        stream = await shop.entries(Keys(PREFIX, owner).events(type_name))
        assert sum(fields["correlationid"] == placed.saga_id for _, fields in stream) == 1
    assert [call.outcome.value for call in shop.calls(placed)] == ["charged"]
    assert shop.mails(placed) == [(1, 0)]
    assert await shop.ended(placed) == ["Completed"]
    assert await shop.differences() == []


async def test_an_order_placed_twice_under_one_key_is_one_order(shop_in_one: DevShop) -> None:
    shop = shop_in_one
    body = an_order(("product-3", 1))

    first = await shop.place(body, key="the-same-request")
    again = await shop.place(body, key="the-same-request")

    assert again == first
    assert await shop.ended(first) == ["Completed"]
    assert [call.outcome.value for call in shop.calls(first)] == ["charged"]
    assert await shop.differences() == []


async def append_again(shop: DevShop, placed: Placed) -> None:
    entries = await shop.entries(CREATED)
    (fields, *_) = [fields for _, fields in entries if fields["correlationid"] == placed.saga_id]
    flat = [text for pair in fields.items() for text in pair]
    await shop.server.execute("XADD", CREATED, "*", *flat)


async def is_through(shop: DevShop, group: str) -> None:
    """Wait until a group has read and acknowledged every OrderCreated there is."""

    async def ask() -> bool:
        pending = await shop.server.execute("XPENDING", CREATED, group)
        groups = await shop.server.execute("XINFO", "GROUPS", CREATED)
        last = (await shop.entries(CREATED))[-1][0]
        assert isinstance(pending, list)
        assert isinstance(groups, list)
        return pending[0] == 0 and all(last in group_ for group_ in groups if isinstance(group_, list))

    await until(ask, f"{group} has read everything")
