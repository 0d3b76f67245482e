"""The payment handlers, each run twice, on the real transaction and a simulated provider that never waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from events import PaymentFailed, PaymentProcessed, PaymentRefunded, StockReserved
from payment_service import handlers, store
from payment_service.direct_gateway import DirectGateway
from payment_service.gateway import Charged, OutcomeUnknown, Refused
from payment_service.model import RefundDiffers, Status
from payment_service.provider import Delays, Provider
from payment_service.provider_record import MemoryRecord
from tests.unit.slot import Slot

NO_DELAY = Delays(slow=timedelta(0), silence=timedelta(0))


@pytest.fixture
def desk() -> Slot:
    """Return a desk with an empty server."""
    return Slot("payment")


def reserved(method: str) -> StockReserved:
    """Return the event that a payment is asked by."""
    return StockReserved(
        order_id="order-1",
        customer_id="customer-1",
        payment_method=method,
        total_cents=29_999,
        currency="EUR",
    )


async def paid(desk: Slot, gateway: DirectGateway) -> PaymentProcessed:
    """Charge the order's card, and return the event that says so."""
    tx = desk.transaction("charge")
    processed = await handlers.charge(reserved("CreditCard"), tx, gateway)
    await desk.commit(tx)
    assert isinstance(processed, PaymentProcessed)
    return processed


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """Yield a provider whose slow methods are quick."""
    async with Provider(MemoryRecord(), delays=NO_DELAY, now_ms=lambda: 1) as provider:
        yield provider


@pytest.fixture
def gateway(provider: Provider) -> DirectGateway:
    """Return the way to it."""
    return DirectGateway(provider, timeout=timedelta(seconds=60))


async def test_an_order_is_charged_once(desk: Slot, gateway: DirectGateway, provider: Provider) -> None:
    """The second attempt at a step says the same and takes nothing more."""
    events = []
    for _ in range(2):
        tx = desk.transaction("charge")
        events.append(await handlers.charge(reserved("CreditCard"), tx, gateway))
        assert (await desk.commit(tx))[0].is_ok

    assert isinstance(events[0], PaymentProcessed)
    assert events[0] == events[1]
    assert (events[0].amount_cents, events[0].currency) == (29_999, "EUR")
    assert provider.account("saga-1.charge").kept_cents == 29_999
    stored = await store.load(desk.reader, "order-1")
    assert stored is not None
    assert (stored.status, stored.key, stored.reference) == (
        Status.CHARGED,
        "saga-1.charge",
        events[0].payment_id,
    )
    assert await desk.reader.members(store.PAYMENTS) == ["order-1"]


async def test_a_declined_card_is_a_refusal(desk: Slot, gateway: DirectGateway) -> None:
    """Refused twice with the same reason, and kept so."""
    for _ in range(2):
        tx = desk.transaction("charge")
        event = await handlers.charge(reserved("DeclinedCard"), tx, gateway)
        await desk.commit(tx)

        assert event == PaymentFailed(order_id="order-1", reason="the card was declined")

    stored = await store.load(desk.reader, "order-1")
    assert stored is not None
    assert (stored.status, stored.reason) == (Status.REFUSED, "the card was declined")


async def test_what_a_provider_says_of_a_card_and_its_owner_is_not_kept(desk: Slot, gateway: DirectGateway) -> None:
    """A reason is kept, published, and shown to whoever asks; a provider may quote what is nobody's business."""

    async def refuse(*_: object) -> Refused:
        return Refused(f"card 4111 1111 1111 1111 of ann@example.org is declined{'!' * 5000}")

    gateway.charge = refuse  # type: ignore[method-assign]
    tx = desk.transaction("charge")
    event = await handlers.charge(reserved("CreditCard"), tx, gateway)
    await desk.commit(tx)

    stored = await store.load(desk.reader, "order-1")
    assert stored is not None
    assert isinstance(event, PaymentFailed)
    assert stored.reason == event.reason
    assert stored.reason.startswith("card *** of *** is declined!")
    assert len(stored.reason) <= 500


async def test_an_unknown_outcome_decides_nothing(desk: Slot, gateway: DirectGateway) -> None:
    """The handler raises and writes nothing; the step is tried again with the same key until decided."""
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await handlers.charge(reserved("BrokenProvider"), desk.transaction("charge"), gateway)
    assert await store.load(desk.reader, "order-1") is None

    event = await handlers.charge(reserved("BrokenProvider"), desk.transaction("charge"), gateway)

    assert isinstance(event, PaymentProcessed)


async def test_what_was_taken_is_given_back_under_the_key_it_was_taken_with(
    desk: Slot, gateway: DirectGateway, provider: Provider
) -> None:
    """The undo's own key plays no part; a repeated undo says the same and moves nothing."""
    processed = await paid(desk, gateway)

    events = []
    for _ in range(2):
        tx = desk.transaction("another")
        events.append(await handlers.refund(processed, tx, gateway))
        await desk.commit(tx)

    assert (
        events
        == [PaymentRefunded(order_id="order-1", payment_id=processed.payment_id, amount_cents=29_999, currency="EUR")]
        * 2
    )
    assert provider.account("saga-1.charge").kept_cents == 0
    stored = await store.load(desk.reader, "order-1")
    assert stored is not None
    assert stored.status is Status.REFUNDED
    assert stored.refunded_ms is not None


async def test_closing_a_step_that_never_charged_forbids_it(
    desk: Slot, gateway: DirectGateway, provider: Provider
) -> None:
    """Begun, closed, then the paused worker's call: the provider keeps no money."""
    for _ in range(2):
        tx = desk.transaction("charge")
        assert await handlers.close(reserved("CreditCard"), tx, gateway) is None
        await desk.commit(tx)

    late = await handlers.charge(reserved("CreditCard"), desk.transaction("charge"), gateway)

    assert late == PaymentFailed(order_id="order-1", reason="closed")
    assert provider.account("saga-1.charge").taken_cents == 0
    stored = await store.load(desk.reader, "order-1")
    assert stored is not None
    assert stored.status is Status.CLOSED


async def test_closing_a_step_that_charged_unheard_says_so_and_it_is_refunded(
    desk: Slot, gateway: DirectGateway, provider: Provider
) -> None:
    """Charged, worker killed before its commit, closed, refunded: nothing is kept and the books agree."""
    unheard = await handlers.charge(reserved("CreditCard"), desk.transaction("charge"), gateway)

    events = []
    for _ in range(2):
        tx = desk.transaction("charge")
        events.append(await handlers.close(reserved("CreditCard"), tx, gateway))
        await desk.commit(tx)
    told = events[1]
    assert events == [unheard, unheard]
    assert isinstance(told, PaymentProcessed)
    tx = desk.transaction("charge")
    refunded = await handlers.refund(told, tx, gateway)
    await desk.commit(tx)

    assert refunded.amount_cents == 29_999
    assert provider.account("saga-1.charge").kept_cents == 0


async def test_money_that_was_given_back_before_does_not_pay_and_is_told_as_refunded(
    desk: Slot, gateway: DirectGateway, provider: Provider
) -> None:
    """The store has forgotten the payment, the provider has not: the order fails, and the provider's name stays."""
    taken = await gateway.charge("saga-1.charge", 29_999, "EUR", "CreditCard")
    await gateway.refund("saga-1.charge")

    for _ in range(2):
        tx = desk.transaction("charge")
        event = await handlers.charge(reserved("CreditCard"), tx, gateway)
        await desk.commit(tx)

        assert event == PaymentFailed(order_id="order-1", reason="the money was given back before")

    stored = await store.load(desk.reader, "order-1")
    assert stored is not None
    assert isinstance(taken, Charged)
    assert (stored.status, stored.amount_cents, stored.reference) == (Status.REFUNDED, 29_999, taken.reference)
    assert stored.refunded_ms is not None
    assert provider.account("saga-1.charge").kept_cents == 0


async def test_no_refund_is_announced_that_was_not_whole(desk: Slot, gateway: DirectGateway) -> None:
    """A provider that lost its books gives nothing back; that must be seen by a person, not told as done."""
    processed = await paid(desk, gateway)

    async with Provider(MemoryRecord(), delays=NO_DELAY) as forgetful:
        with pytest.raises(RefundDiffers, match="29999 EUR were taken, but 0 given back"):
            await handlers.refund(
                processed, desk.transaction("charge"), DirectGateway(forgetful, timeout=timedelta(seconds=60))
            )


async def test_a_payment_that_is_not_stored_is_not_refunded_under_a_guessed_key(
    desk: Slot, gateway: DirectGateway, provider: Provider
) -> None:
    """Without the key nothing is asked of the provider."""
    processed = PaymentProcessed(order_id="order-9", payment_id="pay_1", amount_cents=1, currency="EUR")

    with pytest.raises(LookupError, match="order-9"):
        await handlers.refund(processed, desk.transaction("charge"), gateway)

    assert provider.page(0, 10).calls == ()


async def test_no_saga_gives_back_the_money_of_another_that_names_the_same_order(
    desk: Slot, gateway: DirectGateway, provider: Provider
) -> None:
    """The payment of an order is found by the order's id, and may have been made by another saga."""
    processed = await paid(desk, gateway)

    other = desk.transaction("charge", saga_id="saga-10")
    with pytest.raises(LookupError, match=r"under saga-1\.charge, not by saga saga-10"):
        await handlers.refund(processed, other, gateway)

    assert provider.account("saga-1.charge").kept_cents == 29_999
