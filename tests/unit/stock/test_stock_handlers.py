"""Holding and putting back, as the stock service does it on the shipped script."""

from __future__ import annotations

import pytest

from events import Item, OrderCreated, StockReservationFailed, StockReserved
from money import currency
from sagastream.errors import Undecodable
from sagastream.transaction import OutcomeKind
from sagastream.work import payload
from stock_service import store
from stock_service.catalogue import demo_levels
from stock_service.handlers import release, reserve
from stock_service.model import Level, ReservationStatus
from tests.unit.slot import NOW_MS

from .conftest import Warehouse

CUP = Level("store-1", "cup", "Cup", available=3, initial=3, price_cents=1200)
JUG = Level("store-1", "jug", "Jug", available=10, initial=10, price_cents=500)


def _order(*lines: tuple[str, int, int], order_id: str = "order-1") -> OrderCreated:
    return OrderCreated(
        order_id=order_id,
        customer_id="customer-1",
        store_id="store-1",
        payment_method="CreditCard",
        total_cents=1700,
        currency="EUR",
        items=tuple(
            Item(product_id=product, quantity=quantity, unit_price_cents=price) for product, quantity, price in lines
        ),
    )


async def test_every_line_is_held(warehouse: Warehouse) -> None:
    """Pieces move from available to reserved, and the next service is told what to charge."""
    await warehouse.stock(CUP, JUG)

    said, outcome = await warehouse.handle(reserve, _order(("cup", 1, 1200), ("jug", 4, 500), ("cup", 1, 1200)))

    assert outcome.is_ok
    assert said == StockReserved(
        order_id="order-1",
        customer_id="customer-1",
        payment_method="CreditCard",
        total_cents=1700,
        currency="EUR",
    )
    assert (await warehouse.pieces("cup"), await warehouse.pieces("jug")) == ((1, 2), (6, 4))
    held = await store.load_reservation(warehouse.reader, "order-1")
    assert held is not None
    assert (held.status, held.pieces, held.since_ms) == (ReservationStatus.HELD, {"cup": 2, "jug": 4}, NOW_MS)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([("jug", 1, 500), ("cup", 4, 1200)], "shortage of cup in store store-1: 4 wanted, 3 available"),
        ([("cup", 2, 1200), ("cup", 2, 1200)], "shortage of cup in store store-1: 4 wanted, 3 available"),
        ([("jug", 1, 500), ("cup", 1, 1)], "price changed: cup costs 12.00, not 0.01"),
        ([("jug", 1, 500), ("mug", 1, 1)], "product mug is unknown in store store-1"),
    ],
)
async def test_an_order_that_cannot_be_held_whole_changes_nothing(
    warehouse: Warehouse, lines: list[tuple[str, int, int]], reason: str
) -> None:
    """All lines or none, and the refusal says why."""
    await warehouse.stock(CUP, JUG)

    said, outcome = await warehouse.handle(reserve, _order(*lines))

    assert (said, outcome.is_ok) == (StockReservationFailed(order_id="order-1", reason=reason), True)
    assert (await warehouse.pieces("cup"), await warehouse.pieces("jug")) == ((3, 0), (10, 0))
    assert await store.load_reservation(warehouse.reader, "order-1") is None


@pytest.mark.parametrize(("code", "reason"), [("JPY", "product product-1 is priced in EUR, not in JPY"), ("EUR", None)])
async def test_a_price_of_another_currency_is_no_price(warehouse: Warehouse, code: str, reason: str | None) -> None:
    """A catalogue from before CURRENCY was changed: 14999 yen must not buy what costs 14999 cents."""
    await warehouse.stock(*demo_levels(currency("EUR")))
    order = _order(("product-1", 1, 14999)).model_copy(update={"currency": code})

    said, _ = await warehouse.handle(reserve, order)

    assert (said.reason if isinstance(said, StockReservationFailed) else None) == reason


async def test_the_last_pieces_are_given_out_once(warehouse: Warehouse) -> None:
    """Two orders of one batch both see three pieces; the script serves one, the other decides again."""
    await warehouse.stock(CUP)
    both = [warehouse.transaction(saga_id="saga-1"), warehouse.transaction(saga_id="saga-2")]
    for number, tx in enumerate(both):
        assert isinstance(await reserve(_order(("cup", 2, 1200), order_id=f"order-{number}"), tx), StockReserved)

    outcomes = await warehouse.commit(*both)
    again, _ = await warehouse.handle(reserve, _order(("cup", 2, 1200), order_id="order-1"), saga_id="saga-2")

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.OK, OutcomeKind.REFUSED]
    assert isinstance(again, StockReservationFailed)
    assert await warehouse.pieces("cup") == (1, 2)


async def test_orders_that_fit_together_do_not_get_in_each_others_way(warehouse: Warehouse) -> None:
    """Guards on hot counters commute: a batch of orders for one product needs one round."""
    await warehouse.stock(JUG)
    batch = [warehouse.transaction(saga_id=f"saga-{number}") for number in range(10)]
    for number, tx in enumerate(batch):
        await reserve(_order(("jug", 1, 500), order_id=f"order-{number}"), tx)

    assert all(outcome.is_ok for outcome in await warehouse.commit(*batch))
    assert await warehouse.pieces("jug") == (0, 10)


async def test_the_same_order_twice_is_held_once(warehouse: Warehouse) -> None:
    """Even without the ledger, and even from another saga, one order has one reservation."""
    await warehouse.stock(JUG)
    order = _order(("jug", 2, 500))
    first, second = warehouse.transaction(saga_id="saga-1"), warehouse.transaction(saga_id="saga-1")
    await reserve(order, first)
    await reserve(order, second)

    outcomes = await warehouse.commit(first, second)
    said, _ = await warehouse.handle(reserve, order, saga_id="saga-2")

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.OK, OutcomeKind.REFUSED]
    assert said == StockReservationFailed(order_id="order-1", reason="order order-1 already has a reservation")
    assert await warehouse.pieces("jug") == (8, 2)


async def test_what_is_held_is_put_back_once(warehouse: Warehouse) -> None:
    """Releasing twice with the same event puts the pieces back one time and says the same."""
    await warehouse.stock(CUP, JUG)
    reserved, _ = await warehouse.handle(reserve, _order(("cup", 2, 1200), ("jug", 1, 500)))
    assert isinstance(reserved, StockReserved)

    said, outcome = await warehouse.handle(release, reserved)
    again, repeated = await warehouse.handle(release, reserved)

    assert (said, outcome.is_ok, repeated.is_ok) == (again, True, True)
    assert (await warehouse.pieces("cup"), await warehouse.pieces("jug")) == ((3, 0), (10, 0))
    held = await store.load_reservation(warehouse.reader, "order-1")
    assert held is not None
    assert (held.status, held.released_ms) == (ReservationStatus.RELEASED, NOW_MS)


async def test_two_releases_at_once_put_back_once(warehouse: Warehouse) -> None:
    """A worker thought dead and its successor both read Held; the script lets one of them act."""
    await warehouse.stock(JUG)
    reserved, _ = await warehouse.handle(reserve, _order(("jug", 3, 500)))
    assert isinstance(reserved, StockReserved)
    both = [warehouse.transaction(saga_id="saga-1"), warehouse.transaction(saga_id="saga-1")]
    for tx in both:
        await release(reserved, tx)

    outcomes = await warehouse.commit(*both)

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.OK, OutcomeKind.REFUSED]
    assert await warehouse.pieces("jug") == (10, 0)


async def test_a_release_that_comes_too_late_takes_nothing_from_another_order(warehouse: Warehouse) -> None:
    """Both read Held; there would be enough reserved for a second release, but it is somebody else's."""
    await warehouse.stock(JUG)
    reserved, _ = await warehouse.handle(reserve, _order(("jug", 3, 500)))
    assert isinstance(reserved, StockReserved)
    await warehouse.handle(reserve, _order(("jug", 4, 500), order_id="order-2"), saga_id="saga-2")
    both = [warehouse.transaction(saga_id="saga-1"), warehouse.transaction(saga_id="saga-1")]
    for tx in both:
        await release(reserved, tx)

    outcomes = await warehouse.commit(*both)

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.OK, OutcomeKind.REFUSED]
    assert await warehouse.pieces("jug") == (6, 4)


async def test_nothing_is_released_that_was_never_held_by_this_saga(warehouse: Warehouse) -> None:
    """A ledger that says reserved without a reservation is a contradiction, not a success."""
    await warehouse.stock(JUG)
    reserved, _ = await warehouse.handle(reserve, _order(("jug", 3, 500)))
    assert isinstance(reserved, StockReserved)

    for lost in (reserved.model_copy(update={"order_id": "order-9"}), reserved):
        with pytest.raises(LookupError, match="no such reservation is stored"):
            await warehouse.handle(release, lost, saga_id="saga-2")
    assert await warehouse.pieces("jug") == (7, 3)


def test_a_forged_quantity_is_not_an_event() -> None:
    """A negative quantity in a stream is undecodable: buried at once, never tried, never near a counter."""
    forged = _order(("jug", 1, 500)).payload().replace('"quantity":1', '"quantity":-5')

    with pytest.raises(Undecodable, match="quantity"):
        payload(OrderCreated, forged)
