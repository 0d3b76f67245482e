"""Every handler's worker is killed after its commit and before its acknowledgement; its message comes again."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from sagastream.envelope import pairs
from sagastream.keys import Keys
from tests.processes.crew import COORDINATOR, FRONT, NOTIFICATION, ORDER, PAYMENT, STOCK, Crew
from tests.processes.orders import an_order
from tests.processes.shop import PREFIX
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
FORWARD = {
    STOCK: Keys(PREFIX, "order").events("OrderCreated"),
    PAYMENT: Keys(PREFIX, "stock").events("StockReserved"),
    ORDER: Keys(PREFIX, "payment").events("PaymentProcessed"),
    NOTIFICATION: Keys(PREFIX, "order").events("OrderConfirmed"),
    COORDINATOR: Keys(PREFIX, "order").events("OrderConfirmed"),
}
BACKWARD = {
    PAYMENT: Keys(PREFIX, "saga").requests("payment"),
    STOCK: Keys(PREFIX, "saga").requests("stock"),
    ORDER: Keys(PREFIX, "saga").requests("order"),
    NOTIFICATION: Keys(PREFIX, "order").events("OrderCancelled"),
    COORDINATOR: Keys(PREFIX, "payment").events("PaymentRefunded"),
}


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _at_rest(shop: Crew) -> None:
    """An acknowledgement goes with the next read: that of an earlier order must not spring the trap."""
    streams = {*FORWARD.values(), *BACKWARD.values()}

    async def are_settled() -> bool:
        told = [await shop.server.execute("XINFO", "GROUPS", stream) for stream in streams]
        groups = [pairs([str(value) for value in group]) for groups in told for group in groups]
        return all(group["pending"] == "0" for group in groups)

    await until(are_settled, "every message of earlier orders is acknowledged")


async def test_every_forward_handler_has_one_effect(shop: Crew) -> None:
    deaths = asyncio.gather(*(killed_at_acknowledging(shop, who, stream) for who, stream in FORWARD.items()))
    before = await shop.stock("product-1")

    placed = await shop.place(an_order())
    await deaths

    assert await shop.ended(placed) == ["Completed"]
    assert await shop.stock("product-1") == (before[0] - 1, before[1] + 1)
    assert [call.outcome.value for call in shop.calls(placed)] == ["charged"]
    assert shop.mails(placed) == [(1, 0)]
    for owner, type_name in (
        ("stock", "StockReserved"),
        ("payment", "PaymentProcessed"),
        ("order", "OrderConfirmed"),
        ("notification", "NotificationSent"),
    ):
        assert len(await shop.events(owner, type_name, placed)) == 1
    assert await shop.differences() == []


async def test_every_undo_has_one_effect(shop: Crew) -> None:
    """The order is paid and then cancelled; each worker dies when it has undone its step."""
    before = await shop.stock("product-1")
    shop.freeze(ORDER)
    placed = await shop.place(an_order())
    await until(lambda: shop.events("payment", "PaymentProcessed", placed), "the order is paid")
    deaths = asyncio.gather(*(killed_at_acknowledging(shop, who, stream) for who, stream in BACKWARD.items()))

    assert await shop.cancel(placed)
    shop.thaw(ORDER)
    await deaths

    assert await shop.ended(placed) == ["Compensated"]
    await shop.told_of_cancellation(placed)
    assert await shop.stock("product-1") == before
    assert [call.outcome.value for call in shop.calls(placed)] == ["charged", "refunded"]
    assert shop.mails(placed) == [(0, 1)]
    instants = []
    for owner, type_name in (("payment", "PaymentRefunded"), ("stock", "StockReleased"), ("order", "OrderCancelled")):
        (event,) = await shop.events(owner, type_name, placed)
        instants.append(event["time"])
    assert instants == sorted(instants), "newest first"
    assert await shop.differences() == []


async def test_closing_a_begun_charge_has_one_effect(shop: Crew) -> None:
    """The payment worker dies when it has closed the key of a charge that is still on its way."""
    death = asyncio.create_task(killed_at_acknowledging(shop, PAYMENT, BACKWARD[PAYMENT]))
    placed = await shop.place(an_order(method="SlowProvider"))
    await until(lambda: shop.events("stock", "StockReserved", placed), "stock is held")

    assert await shop.cancel(placed)
    await death

    assert await shop.ended(placed) == ["Compensated"]
    assert await shop.events("payment", "PaymentProcessed", placed) == []
    assert sum(call.outcome.value == "charged" for call in shop.calls(placed)) == 0
    assert await shop.differences() == []


async def test_placing_an_order_has_one_effect(shop: Crew) -> None:
    """The front dies when it has written the order, before it hears of it; the customer asks again."""
    trap = shop.wire.set(FRONT, b"EVALSHA", b"OrderCreated", act=lambda: shop.kill(FRONT), at_reply=True)
    placing = asyncio.create_task(shop.place(an_order(), key="asked-twice"))
    await trap.caught()
    await shop.start(FRONT)

    placed = await placing

    assert await shop.ended(placed) == ["Completed"]
    created = await shop.entries(FORWARD[STOCK])
    assert sum(fields["subject"] == placed.order_id for _, fields in created) == 1
    assert [call.outcome.value for call in shop.calls(placed)] == ["charged"]
    assert await shop.differences() == []


async def killed_at_acknowledging(shop: Crew, who: str, stream: str) -> None:
    trap = shop.wire.set(who, b"XACK", stream.encode(), act=lambda: shop.kill(who), drops=True)
    await trap.caught()
    await shop.start(who)
