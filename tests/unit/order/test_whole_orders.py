"""Whole orders when the world outside does its worst: what customers are told is so, and nobody pays for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI

from coordinator.order_saga import ORDER
from events import OrderCreated
from order_service.handlers import order
from payment_service.direct_gateway import DirectGateway
from payment_service.gateway import Charged
from payment_service.provider import Delays, Provider
from payment_service.provider_record import MemoryRecord
from sagastream.coordinator.repair import Repairs
from sagastream.coordinator.repair_api import repair_routes
from sagastream.saga.repair import Act, Action
from tests.unit.core.world import in_virtual_time
from tests.unit.order.whole_shop import PIECES, TOTAL_CENTS, WholeShop

LONG_S = 900.0


@pytest.mark.parametrize(
    "takes",
    [
        lambda cents, currency: Charged("pay_1", cents - 1, currency),
        lambda cents, currency: Charged("pay_1", cents + 1, currency),
        lambda cents, currency: Charged("pay_1", 0, currency),
        lambda cents, currency: Charged("pay_1", cents, "USD"),
        lambda cents, currency: Charged("pay_1", cents, currency.lower()),
    ],
    ids=["too little", "too much", "nothing", "another currency", "another spelling"],
)
@in_virtual_time
async def test_nothing_is_delivered_for_what_the_provider_took_instead(takes: Callable[[int, str], Charged]) -> None:
    """An order is confirmed for its own total in its own currency or not at all, and all of it is given back."""
    shop = WholeShop()
    await shop.open()
    shop.till.takes = takes
    saga_id = await shop.place()

    async with shop.world.running(*shop.workers()):
        await asyncio.sleep(LONG_S)

    assert (shop.world.status(saga_id), (await shop.order()).status) == ("Compensated", "Cancelled")
    assert (shop.till.kept_cents, shop.shelf()) == (0, (PIECES, 0))


@in_virtual_time
async def test_a_customer_whose_refund_is_stuck_is_not_told_that_nothing_is_kept() -> None:
    """The order is cancelled before its money is back, for a refund that fails holds nothing else up."""
    shop = WholeShop()
    await shop.open()
    shop.till.takes = lambda cents, currency: Charged("pay_1", cents + 1, currency)
    shop.till.is_stuck = True
    saga_id = await shop.place()

    async with shop.world.running(*shop.workers()):
        await asyncio.sleep(LONG_S)
        (notice,) = shop.mailbox.mails
        assert (shop.world.status(saga_id), shop.till.kept_cents) == ("NeedsAttention", TOTAL_CENTS + 1)
        shop.till.is_stuck = False
        await asyncio.sleep(4 * LONG_S)

    assert "is cancelled" in notice.subject
    assert "Nothing is kept" not in notice.body + notice.html
    assert "is given back" in notice.body
    assert (shop.world.status(saga_id), shop.till.kept_cents) == ("Compensated", 0), "as it was told"


@in_virtual_time
async def test_what_was_given_back_does_not_pay_for_an_order_when_the_store_has_forgotten_it() -> None:
    """The store goes back to the middle of a charge, after the order was cancelled; the provider does not go back."""
    delays = Delays(slow=timedelta(seconds=2), silence=timedelta(seconds=30))
    async with Provider(MemoryRecord(), delays=delays, now_ms=lambda: 1) as provider:
        shop = WholeShop(DirectGateway(provider, timeout=timedelta(seconds=5)))
        await shop.open()
        saga_id = await shop.place(method="TimeoutAfterCharge")
        async with shop.world.running(*shop.workers()):
            await asyncio.sleep(1)
            restore = shop.copy()
            assert await shop.cancel()
            await asyncio.sleep(LONG_S)
        account = provider.account(f"{saga_id}.charge")
        assert (account.taken_cents, account.kept_cents) == (TOTAL_CENTS, 0)

        restore()
        async with shop.world.running(*shop.workers()):
            await asyncio.sleep(LONG_S)

        assert (shop.world.status(saga_id), (await shop.order()).status) == ("Compensated", "Cancelled")
        assert (provider.account(f"{saga_id}.charge").kept_cents, shop.shelf()) == (0, (PIECES, 0))
        assert shop.world.hash("payment", "payment:order-1")["status"] == "Refunded"


@in_virtual_time
async def test_a_second_saga_that_names_an_order_neither_cancels_nor_confirms_it() -> None:
    """Its stock is held for the first; being turned back it must not close what the first is about to confirm."""
    shop = WholeShop()
    await shop.open()
    shop.till.is_quick.clear()
    mine = await shop.place()
    (created,) = shop.world.events("order", OrderCreated)
    forged = OrderCreated.model_validate_json(created["data"])

    async with shop.world.running(*shop.workers()):
        await asyncio.sleep(1)
        other = (await shop.world.entrance(order).begin(forged, key="another")).saga_id
        await asyncio.sleep(10)
        shop.till.is_quick.set()
        await asyncio.sleep(LONG_S)

    assert (shop.world.status(mine), shop.world.status(other)) == ("Completed", "NeedsAttention")
    assert ((await shop.order()).status, shop.till.kept_cents) == ("Confirmed", TOTAL_CENTS)
    assert shop.shelf() == (PIECES - 2, 2)
    assert [mail.subject for mail in shop.mailbox.mails] == ["Your order order-1 is confirmed"]


@in_virtual_time
async def test_whoever_aborts_is_told_that_what_has_begun_goes_on() -> None:
    """Aborted while the card is being charged: it is charged all the same, and the order confirmed."""
    shop = WholeShop()
    await shop.open()
    shop.till.is_quick.clear()
    saga_id = await shop.place()
    bus, settings = shop.world.wire().bus, shop.world.settings

    async with shop.world.running(*shop.workers()):
        await asyncio.sleep(1)
        await Repairs([ORDER], bus=bus, settings=settings).act(saga_id, Action(Act.ABORT, "ann", "it takes too long"))
        shop.till.is_quick.set()
        await asyncio.sleep(LONG_S)

    assert (shop.world.status(saga_id), (await shop.order()).status) == ("Aborted", "Confirmed")
    assert (shop.till.kept_cents, len(shop.mailbox.mails)) == (TOTAL_CENTS, 1)
    app = FastAPI()
    app.include_router(repair_routes([ORDER], bus=bus, settings=settings))
    told = app.openapi()["paths"]["/api/v1/sagas/{sagaId}/abort"]["post"]["description"]
    assert "what services have begun goes on" in told


@pytest.mark.parametrize("at_s", [0.0, 0.5, 1.5])
@in_virtual_time
async def test_a_price_that_changes_and_a_delivery_that_comes_meanwhile_move_no_money(at_s: float) -> None:
    """Whoever ordered before pays what he was told or gets nothing; no piece appears or vanishes by it."""
    shop = WholeShop()
    await shop.open()
    shop.till.is_quick.clear()
    saga_id = await shop.place()

    async with shop.world.running(*shop.workers()[:1] if at_s == 0.0 else shop.workers()):
        await asyncio.sleep(at_s)
        await shop.reprice_and_restock(pieces=5)
        if at_s == 1.5:
            assert await shop.cancel()
    shop.till.is_quick.set()
    async with shop.world.running(*shop.workers()):
        await asyncio.sleep(LONG_S)

    ends = {0.0: "Failed", 0.5: "Completed", 1.5: "Compensated"}
    assert shop.world.status(saga_id) == ends[at_s]
    is_done = ends[at_s] == "Completed"
    assert shop.till.kept_cents == (TOTAL_CENTS if is_done else 0)
    assert shop.shelf() == ((PIECES + 3, 2) if is_done else (PIECES + 5, 0))
