"""The order saga in this library, with steps that do as little as those of its peers: each returns the next event."""

from __future__ import annotations

from datetime import timedelta

from bench.workers import Cast, unaided
from sagastream import Entrance, Event, Participant, Saga, Settings, Step, Transaction, connect
from sagastream.together import all_of

WITHIN = timedelta(seconds=60)

order = Participant("order")
stock = Participant("stock")
payment = Participant("payment")
notification = Participant("notification")


class Created(Event, by="order"):
    """An order was placed."""

    order: str


class Reserved(Event, by="stock"):
    """Goods are held."""

    order: str


class Released(Event, by="stock"):
    """The goods were released."""

    order: str


class Charged(Event, by="payment"):
    """The payment was taken."""

    order: str


class Refunded(Event, by="payment"):
    """The payment was refunded."""

    order: str


class Confirmed(Event, by="order"):
    """The order is confirmed."""

    order: str


class Cancelled(Event, by="order"):
    """The order is cancelled."""

    order: str


class Notified(Event, by="notification"):
    """The customer was notified."""

    order: str


ORDER = Saga(
    "order",
    version=1,
    begins_with=Created,
    begun_by="order",
    cancelled_by=Cancelled,
    steps=(
        Step("reserve", by="stock", done=Reserved, undone=Released, within=WITHIN),
        Step("charge", by="payment", done=Charged, undone=Refunded, within=WITHIN),
        Step("confirm", by="order", done=Confirmed, pivot=True, within=WITHIN),
        Step("notify", by="notification", done=Notified, within=WITHIN),
    ),
)
order.begins(Created, saga="order", version=1)


@stock.on(Created)
async def reserve(created: Created, tx: Transaction) -> Reserved:
    """Hold nothing."""
    return Reserved(order=created.order)


@stock.undo(Reserved)
async def release(reserved: Reserved, tx: Transaction) -> Released:
    """Release nothing."""
    return Released(order=reserved.order)


@payment.on(Reserved)
async def charge(reserved: Reserved, tx: Transaction) -> Charged:
    """Charge nothing."""
    return Charged(order=reserved.order)


@payment.undo(Charged)
async def refund(charged: Charged, tx: Transaction) -> Refunded:
    """Refund nothing."""
    return Refunded(order=charged.order)


@order.on(Charged)
async def confirm(charged: Charged, tx: Transaction) -> Confirmed:
    """Confirm."""
    return Confirmed(order=charged.order)


@order.undo(Created)
async def cancel(created: Created, tx: Transaction) -> Cancelled:
    """Cancel."""
    return Cancelled(order=created.order)


@notification.on(Confirmed)
async def notify(confirmed: Confirmed, tx: Transaction) -> Notified:
    """Notify nobody."""
    return Notified(order=confirmed.order)


def plain() -> Cast:
    """Return the cast of this saga."""
    return Cast(ORDER, (order, stock, payment, notification), unaided)


async def begin(url: str, sagas: int, named: str) -> None:
    """Begin sagas, named by ``named`` and a number."""
    settings = Settings(redis_url=url)
    bus = connect(url, name="bench", block=settings.block)
    try:
        entrance = Entrance(order, bus=bus, settings=settings)
        names = [f"{named}-{number}" for number in range(sagas)]
        await all_of(entrance.begin(Created(order=name), key=name) for name in names)
    finally:
        await bus.close()
