"""A coordinator that was away must not turn back what has long been done."""

from __future__ import annotations

import asyncio

import pytest

from events import OrderCreated
from order_service import handlers
from order_service.model import Line, Order
from sagastream import Entrance, Settings
from sagastream.clock import server_ms
from sagastream.coordinator.records import Records
from sagastream.keys import Keys, index
from sagastream.saga.progress import Kind
from tests.processes import orders
from tests.processes.crew import COORDINATOR, Crew
from tests.processes.shop import PREFIX
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
ORDERS = 1000
IMPATIENT = 0.005  # of the deadlines: 0.15 s for stock, 0.3 s for the charge, 1.5 s for the whole
OVERDUE_MS = 1500


async def test_a_coordinator_that_comes_after_all_deadlines_counts_everything_as_completed(shop: Crew) -> None:
    """It is gone until 1,000 orders are done and every deadline has passed."""
    await shop.ended(await shop.place(orders.an_order()))
    before = await statistics(shop)
    shop.kill(COORDINATOR)
    await hold_up(shop, Keys(PREFIX, "stock").events("StockReserved"))
    told = Keys(PREFIX, "notification").events("NotificationSent")
    told_before = await length(shop, told)
    entrance = Entrance(handlers.order, bus=shop.bus, settings=Settings())
    await asyncio.gather(*(handlers.place(an_order(f"late-{number}", entrance), entrance) for number in range(ORDERS)))

    async def all_are_told() -> bool:
        return await length(shop, told) == told_before + ORDERS

    await until(all_are_told, "every customer is told", within_s=60)
    told_ms = await server_ms(shop.server)

    async def everything_is_overdue() -> bool:
        return await server_ms(shop.server) > told_ms + OVERDUE_MS

    await until(everything_is_overdue, "every deadline passes")
    await shop.start(COORDINATOR, ORDER_DEADLINE_PACE=str(IMPATIENT))

    async def all_have_ended() -> dict[str, int]:
        after = await statistics(shop)
        grown = {name: after[name] - before[name] for name in after}
        return grown if grown["ended"] == ORDERS else {}

    grown = await until(all_have_ended, "every saga ends", every_s=0.1)
    shop.kill(COORDINATOR)  # the next test wants one with more patience
    assert grown["Completed"] == ORDERS
    assert grown["turnedBack"] == 0
    assert await called_overdue_but_done_in_time(shop) == []
    assert await shop.differences() == []


async def statistics(shop: Crew) -> dict[str, int]:
    told = (await shop.http.get("/api/choreographedsaga/statistics")).raise_for_status().json()
    return {**told["byStatus"], "ended": told["ended"], "turnedBack": told["turnedBack"]}


async def called_overdue_but_done_in_time(shop: Crew) -> list[tuple[str, str]]:
    """Return the sagas and steps of which the coordinator said too much."""
    records = Records(shop.bus, Keys(PREFIX, "saga"))
    ids = await records.reader.members(index("all"), count=10 * ORDERS)
    found = []
    for record in await asyncio.gather(*(records.load(saga_id) for saga_id in ids)):
        assert record is not None  # it is in the index
        for step, known in record.progress.facts.items():
            done, overdue = known.get(Kind.DONE), known.get(Kind.OVERDUE)
            if done is not None and overdue is not None and done.at_ms <= overdue.at_ms:
                found.append((record.progress.saga_id, step))
    return found


async def hold_up(shop: Crew, stream: str) -> None:
    """Repeat the newest event of a stream so often that its next ones are read long after those of other streams.

    Streams that are read in step would bring every saga's whole story in one batch.
    """
    _, fields = (await shop.entries(stream))[-1]
    flat = [text for pair in fields.items() for text in pair]
    await shop.server.pipeline([("XADD", stream, "*", *flat)] * 500)


async def length(shop: Crew, stream: str) -> int:
    return int(str(await shop.server.execute("XLEN", stream)))


def an_order(order_id: str, entrance: Entrance) -> Order:
    return Order(
        id=order_id,
        saga_id=entrance.saga_id(OrderCreated, order_id),
        customer_id="customer-1",
        store_id="store-1",
        payment_method="CreditCard",
        total_cents=8950,
        currency="EUR",
        lines=(Line("product-2", 1, 8950),),
    )
