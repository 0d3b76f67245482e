"""A worker is frozen between reading and writing, for longer than anybody waits, and then goes on."""

from __future__ import annotations

from functools import partial

import pytest

from sagastream import keys as names
from sagastream.keys import Keys
from tests.processes.crew import ORDER, PAYMENT, PROVIDER, Crew
from tests.processes.orders import Placed, an_order
from tests.processes.shop import PREFIX
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
REQUESTS_TO_ORDER = Keys(PREFIX, "saga").requests("order")
REQUESTS_TO_PAYMENT = Keys(PREFIX, "saga").requests("payment")


async def test_an_order_worker_that_slept_past_the_deadline_before_reading_confirms_nothing(
    shop: Crew,
) -> None:
    """It finds the payment and the bar waiting together, and bars."""
    shop.freeze(ORDER)
    placed = [await shop.place(an_order()) for _ in range(5)]
    for each in placed:
        await is_paid(shop, each)
    for each in placed:
        await is_asked(shop, REQUESTS_TO_ORDER, "BarRequested", each)

    shop.thaw(ORDER)

    assert set(await shop.ended(*placed)) <= {"Completed", "Compensated"}
    for each in placed:
        await went_one_way(shop, each)
    assert await shop.differences() == []


async def test_a_confirmation_sent_before_the_bar_was_read_stands(shop: Crew) -> None:
    """Frozen with the confirmation on the wire: it arrives first, so the saga is too late to be turned back."""
    held = shop.wire.set(ORDER, b"EVALSHA", b"OrderConfirmed", act=lambda: shop.freeze(ORDER), holds=True)
    placed = await shop.place(an_order())
    await held.caught()
    await is_asked(shop, REQUESTS_TO_ORDER, "BarRequested", placed)

    held.release()
    shop.thaw(ORDER)

    assert await shop.ended(placed) == ["Completed"]
    await went_one_way(shop, placed)
    assert await shop.differences() == []


async def test_a_confirmation_that_arrives_after_the_bar_is_refused(shop: Crew) -> None:
    """Frozen with the confirmation on the wire, while another worker of the same service bars it."""
    held = shop.wire.set(ORDER, b"EVALSHA", b"OrderConfirmed", act=lambda: shop.freeze(ORDER), holds=True)
    placed = await shop.place(an_order())
    await held.caught()
    await shop.start("order-service/2")
    turned_back = await shop.ended(placed)

    held.release()
    shop.thaw(ORDER)
    await is_idle(shop, Keys(PREFIX, "payment").events("PaymentProcessed"), "order")

    assert turned_back == ["Compensated"]
    assert await shop.ended(placed) == ["Compensated"]
    await went_one_way(shop, placed)
    await shop.end("order-service/2")
    assert await shop.differences() == []


async def test_a_charge_sent_after_its_undo_takes_no_money(shop: Crew) -> None:
    """The payment worker sleeps between `begun` and its call; another worker closes the key meanwhile."""
    begun = shop.wire.set(PAYMENT, b"EVALSHA", b"begun", act=lambda: shop.freeze(PAYMENT), at_reply=True)
    placed = await shop.place(an_order())
    await begun.caught()
    await shop.start("payment-service/2")
    assert await shop.cancel(placed)
    turned_back = await shop.ended(placed)

    shop.thaw(PAYMENT)
    await is_idle(shop, Keys(PREFIX, "stock").events("StockReserved"), "payment")

    calls = [(call.call.value, call.outcome.value) for call in shop.calls(placed)]
    assert turned_back == ["Compensated"]
    assert calls[0] == ("close", "closed")
    assert ("charge", "refused") in calls
    assert await shop.events("payment", "PaymentRefunded", placed) == []
    await shop.end("payment-service/2")
    assert await shop.differences() == []


async def test_a_slow_charge_that_lands_after_its_undo_takes_no_money(shop: Crew) -> None:
    """The provider thinks for a second; the order is cancelled meanwhile."""
    placed = [await shop.place(an_order(method="SlowProvider")) for _ in range(3)]
    for each in placed:
        await is_begun(shop, each)
        assert await shop.cancel(each)

    assert await shop.ended(*placed) == ["Compensated"] * 3

    for each in placed:
        await until(partial(landed, shop, each), "the charge lands")
        assert sum(call.outcome.value == "charged" for call in shop.calls(each)) == 0
    assert await shop.differences() == []


async def test_charges_that_land_after_their_undo_was_asked_are_given_back(shop: Crew) -> None:
    """The provider is frozen with the charges at its door; on waking it finds them before the closes."""
    shop.freeze(PROVIDER)
    placed = [await shop.place(an_order()) for _ in range(10)]
    for each in placed:
        await is_begun(shop, each)
    for each in placed:
        assert await shop.cancel(each)
        await is_asked(shop, REQUESTS_TO_PAYMENT, "UndoRequested", each)

    shop.thaw(PROVIDER)

    assert set(await shop.ended(*placed)) == {"Compensated"}
    outcomes = [[call.outcome.value for call in shop.calls(each)] for each in placed]
    assert [told.count("charged") for told in outcomes] == [told.count("refunded") for told in outcomes]
    assert any("charged" in told for told in outcomes), "no charge landed late: the race was not run"
    assert await shop.differences() == []


async def is_paid(shop: Crew, placed: Placed) -> None:
    await until(lambda: shop.events("payment", "PaymentProcessed", placed), "the order is paid")


async def is_begun(shop: Crew, placed: Placed) -> None:
    ledger = Keys(PREFIX, "payment").key(names.ledger(placed.saga_id))

    async def ask() -> bool:
        return str(await shop.server.execute("HGET", ledger, "charge") or "").startswith("begun")

    await until(ask, "the charge is begun")


async def is_asked(shop: Crew, requests: str, type_name: str, placed: Placed) -> None:
    async def ask() -> bool:
        entries = [fields for _, fields in await shop.entries(requests)]
        return any((e["type"], e["correlationid"]) == (type_name, placed.saga_id) for e in entries)

    await until(ask, f"{type_name} is asked")


async def is_idle(shop: Crew, stream: str, group: str) -> None:
    async def ask() -> bool:
        reply = await shop.server.execute("XPENDING", stream, group)
        assert isinstance(reply, list)
        return reply[0] == 0

    await until(ask, f"{group} has nothing left of {stream}")


async def landed(shop: Crew, placed: Placed) -> bool:
    return any(call.call.value == "charge" for call in shop.calls(placed))


async def went_one_way(shop: Crew, placed: Placed) -> None:
    """Never both confirmed and refunded, and the customer knows which."""
    confirmed = await shop.events("order", "OrderConfirmed", placed)
    refunded = await shop.events("payment", "PaymentRefunded", placed)
    assert (len(confirmed), len(refunded)) in {(1, 0), (0, 1)}
    if confirmed:
        assert await shop.order_status(placed) == "Confirmed"
    else:
        assert await shop.order_status(placed) == "Cancelled"
