"""Confirming and cancelling, as the order service does it on the shipped script."""

from __future__ import annotations

from dataclasses import replace

import pytest

from events import Item, OrderCancelled, OrderConfirmed, OrderCreated, PaymentProcessed
from order_service import store
from order_service.handlers import cancel, confirm
from order_service.model import OrderSettled, Status
from sagastream.transaction import OutcomeKind
from tests.unit.slot import NOW_MS

from .conftest import ORDER, Office

PAID = PaymentProcessed(order_id="order-1", payment_id="pay-1", amount_cents=29999, currency="EUR")
CREATED = OrderCreated(
    order_id="order-1",
    customer_id="customer-1",
    store_id="store-1",
    payment_method="CreditCard",
    total_cents=29999,
    currency="EUR",
    items=(Item(product_id="product-1", quantity=2, unit_price_cents=14999),),
)


async def test_an_order_is_stored_as_it_was_taken(office: Office) -> None:
    """Nothing is lost on the way through the store, and the indexes name it."""
    await office.take(ORDER)

    assert await office.order() == replace(ORDER, placed_ms=NOW_MS)
    assert await office.reader.members(store.ORDERS) == ["order-1"]
    assert await office.reader.members(store.customer_key("customer-1")) == ["order-1"]


async def test_an_order_without_an_address_has_none(office: Office) -> None:
    """Absent stays absent; it does not become an empty address."""
    await office.take(replace(ORDER, email=None))

    assert (await office.order()).email is None


async def test_an_order_is_never_overwritten(office: Office) -> None:
    """An id derived from an old Idempotency-Key must not reset an order that is long settled."""
    await office.take(ORDER)
    tx = office.transaction()
    store.add(tx, replace(ORDER, total_cents=1))

    assert (await office.commit(tx))[0].kind is OutcomeKind.REFUSED
    assert (await office.order()).total_cents == 29999


async def test_a_paid_order_is_confirmed_and_repeats_itself(office: Office) -> None:
    """The same payment twice confirms once and says the same."""
    await office.take(ORDER)

    said, outcome = await office.handle(confirm, PAID, now_ms=NOW_MS + 5)
    again, _ = await office.handle(confirm, PAID, now_ms=NOW_MS + 5)

    assert (
        said == again == OrderConfirmed(order_id="order-1", total_cents=29999, currency="EUR", email="ann@example.org")
    )
    assert outcome.is_ok
    assert await office.order() == replace(ORDER, placed_ms=NOW_MS, status=Status.CONFIRMED, settled_ms=NOW_MS + 5)


async def test_a_cancelled_order_repeats_itself(office: Office) -> None:
    """The same undo twice cancels once and says the same."""
    await office.take(ORDER)

    said, outcome = await office.handle(cancel, CREATED, now_ms=NOW_MS + 5)
    again, _ = await office.handle(cancel, CREATED, now_ms=NOW_MS + 5)

    assert said == again == OrderCancelled(order_id="order-1", email="ann@example.org")
    assert outcome.is_ok
    assert await office.order() == replace(ORDER, placed_ms=NOW_MS, status=Status.CANCELLED, settled_ms=NOW_MS + 5)


async def test_confirmation_and_cancellation_in_one_instant_leave_one(office: Office) -> None:
    """Both workers read Pending; the script lets one of them settle the order."""
    await office.take(ORDER)
    confirming, cancelling = office.transaction(), office.transaction()
    await confirm(PAID, confirming)
    await cancel(CREATED, cancelling)

    outcomes = await office.commit(confirming, cancelling)

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.OK, OutcomeKind.REFUSED]
    assert (await office.order()).status is Status.CONFIRMED
    with pytest.raises(OrderSettled, match="confirmed and cannot be cancelled"):
        await office.handle(cancel, CREATED)


async def test_a_cancelled_order_is_never_confirmed(office: Office) -> None:
    """A payment for a cancelled order is not decided here: a person must look."""
    await office.take(ORDER)
    await office.handle(cancel, CREATED)

    with pytest.raises(OrderSettled, match="cancelled and cannot be confirmed"):
        await office.handle(confirm, PAID)


@pytest.mark.parametrize("change", [{"amount_cents": 29998}, {"currency": "USD"}])
async def test_an_order_is_not_confirmed_for_another_amount(office: Office, change: dict[str, object]) -> None:
    """What was paid must be the total, to the cent and in its currency."""
    await office.take(ORDER)

    with pytest.raises(ValueError, match="costs 29999 EUR, but"):
        await office.handle(confirm, PAID.model_copy(update=change))


async def test_an_order_that_is_not_stored_is_not_decided(office: Office) -> None:
    """Neither confirmed nor cancelled out of thin air; the message says what to do."""
    with pytest.raises(LookupError, match="restore it, then replay the letter"):
        await office.handle(confirm, PAID)
    with pytest.raises(LookupError, match="restore it, then replay the letter"):
        await office.handle(cancel, CREATED)
