"""The order saga on the stage: the shop's own handlers, a provider whose calls outlive the worker that made them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from coordinator.order_saga import ORDER
from notification_service.channels import Channel, Message, NotSent, Receipt, Undeliverable
from notification_service.handlers import notification
from order_service import handlers as order_handlers
from order_service.handlers import order, place
from order_service.model import Line, Order, Status
from payment_service.direct_gateway import DirectGateway
from payment_service.gateway import Charged, Closed, Gateway, Refund, Refused
from payment_service.handlers import payment
from payment_service.provider import Delays, Provider
from payment_service.provider_record import MemoryRecord
from sagastream import Participant
from sagastream.testing.actor import Actor
from sagastream.testing.memory_keyspace import Hash
from sagastream.testing.scenario import Scenario
from sagastream.testing.stage import Stage
from stock_service import store as stock_store
from stock_service.handlers import stock
from stock_service.model import Level

METHODS = ("CreditCard", "DeclinedCard", "TimeoutAfterCharge", "BrokenProvider", "SlowProvider", "CreditCard")
PIECES = 5
PRICE_CENTS = 14999
CAST: tuple[Participant, ...] = (order, stock, payment, notification)


MUST_SEE = frozenset(
    {
        *("Completed", "Compensated", "Failed", "NeedsAttention"),
        *("step begun", "step gave up", "step refused", "step undone", "step barred"),
        *("fact: cancelled", "fact: overdue", "fact: gave up", "fact: undo gave up", "fact: ledger lost"),
    }
)


class DistantProvider:
    """A provider at the end of a long line: a call lands although the worker that made it may be dead by then."""

    def __init__(self, provider: Provider, actor: Actor) -> None:
        self._provider = provider
        self._actor = actor

    async def charge(self, key: str, amount_cents: int, currency: str, method: str) -> Charged | Refused:
        return await self._actor.outside(lambda: self._provider.charge(key, amount_cents, currency, method))

    async def refund(self, key: str) -> Refund:
        return await self._actor.outside(lambda: self._provider.refund(key))

    async def close(self, key: str) -> Closed:
        return await self._actor.outside(lambda: self._provider.close(key))


class DistantChannel:
    """A mail server at the end of the same line."""

    def __init__(self, sent: dict[str, Message], actor: Actor) -> None:
        self._sent = sent
        self._actor = actor

    async def send(self, message: Message) -> Receipt | Undeliverable:
        async def take() -> Receipt:
            self._sent[message.key] = message
            return Receipt("stage", message.key)

        try:
            return await self._actor.outside(take)
        except OSError as error:
            raise NotSent(str(error)) from error


class Shop:
    """What lies outside of Redis, and whether it agrees with what is inside."""

    def __init__(self) -> None:
        self.record = MemoryRecord()
        self.provider = Provider(
            self.record, delays=Delays(timedelta(seconds=2), timedelta(seconds=30)), now_ms=lambda: 0
        )
        self.mails: dict[str, Message] = {}
        self.placed: dict[str, Order] = {}

    def resources(self, actor: Actor) -> Mapping[type, object]:
        gateway = DirectGateway(DistantProvider(self.provider, actor), timeout=timedelta(seconds=5))  # type: ignore[arg-type]
        return {Gateway: gateway, Channel: DistantChannel(self.mails, actor)}

    async def open(self, stage: Stage) -> None:
        level = Level("store-1", "product-1", "One", PIECES, 0, PIECES, 0, PRICE_CENTS)
        await stage.entrance(stock).change(lambda tx: stock_store.add_level(tx, level))

    async def begin(self, stage: Stage, number: int) -> str:
        chance = stage.dice(number)
        return await self.order(stage, f"order-{number}", chance.choice(METHODS), chance.choice((1, 2, 3, 9)))

    async def order(self, stage: Stage, order_id: str, method: str, quantity: int) -> str:
        total = quantity * PRICE_CENTS
        saga_id = stage.entrance(order).saga_id(order_handlers.OrderCreated, order_id)
        placed = Order(
            id=order_id, saga_id=saga_id, customer_id="customer-1", store_id="store-1", payment_method=method,
            total_cents=total, currency="EUR", lines=(Line("product-1", quantity, PRICE_CENTS),), email=None,
            request="", status=Status.PENDING, placed_ms=0,
        )  # fmt: skip
        self.placed[saga_id] = placed
        begun = await stage.ask(order, lambda entrance: place(placed, entrance))
        return begun.saga_id

    async def cancel(self, stage: Stage, number: int) -> None:
        await self.turn_back(stage, stage.begun[number])

    async def turn_back(self, stage: Stage, saga_id: str) -> None:
        pending = self.placed[saga_id]
        await stage.ask(order, lambda entrance: order_handlers.ask_to_cancel(pending, "changed my mind", entrance))

    def lies(self, stage: Stage) -> Iterator[str]:
        """Yield where an end that was told differs from the money and the stock."""
        statuses = stage.truth.statuses()
        held = 0
        for saga_id, placed in self.placed.items():
            account = self.provider.account(f"{saga_id}.charge")
            taken = account.charged.amount_cents if account.charged else 0
            kept = taken - account.refunded_cents
            reservation = _hash(stage, f"{{stock}}:reservation:{placed.id}")
            pieces = placed.lines[0].quantity if reservation.get(b"status") == b"Held" else 0
            held += pieces
            status = statuses.get(saga_id)
            yield from self._lies_of_services(stage, saga_id, placed)
            if status == "Completed":
                if kept != placed.total_cents:
                    yield f"{placed.id} is completed, but the provider keeps {kept} of {placed.total_cents}"
                if pieces != placed.lines[0].quantity:
                    yield f"{placed.id} is completed, but its stock is not held"
                if f"{saga_id}.notify" not in self.mails:
                    yield f"{placed.id} is completed, but nobody was told"
            elif status in ("Compensated", "Failed"):
                if kept:
                    yield f"{placed.id} is {status}, but the provider keeps {kept}"
                if pieces:
                    yield f"{placed.id} is {status}, but {pieces} pieces are held"
        level = _hash(stage, "{stock}:level:store-1:product-1")
        available, reserved = int(level.get(b"available", PIECES)), int(level.get(b"reserved", 0))
        if available < 0 or reserved != held or available + reserved != PIECES:
            yield f"stock: {available} available, {reserved} reserved, {held} held of {PIECES}"

    def _lies_of_services(self, stage: Stage, saga_id: str, placed: Order) -> Iterator[str]:
        """Yield what a service or a mail says at this very moment, and is not so."""
        account = self.provider.account(f"{saga_id}.charge")
        order_is, payment_is, stock_is = (
            _hash(stage, f"{{{owner}}}:{what}:{placed.id}").get(b"status", b"").decode()
            for owner, what in (("order", "order"), ("payment", "payment"), ("stock", "reservation"))
        )
        if order_is == "Confirmed" and (account.kept_cents != placed.total_cents or stock_is != "Held"):
            yield f"{placed.id} is confirmed, but the provider keeps {account.kept_cents} and its stock is {stock_is}"
        if f"{saga_id}.notify" in self.mails and order_is != "Confirmed":
            yield f"{placed.id} was told to be confirmed, and is {order_is}"
        if f"{saga_id}.tell_cancelled" in self.mails and order_is != "Cancelled":
            yield f"{placed.id} was told to be cancelled, and is {order_is}"
        if payment_is == "Refunded" and account.kept_cents:
            yield f"the payment of {placed.id} is refunded, but the provider keeps {account.kept_cents}"
        took_nothing = payment_is in ("Refused", "Closed")
        if (payment_is == "Charged" and not account.taken_cents) or (took_nothing and account.taken_cents):
            yield f"the payment of {placed.id} is {payment_is}, but the provider took {account.taken_cents}"


def _hash(stage: Stage, name: str) -> Mapping[bytes, bytes]:
    found = stage.server.space.values.get(f"{stage.settings.key_prefix}{name}".encode())
    return found if isinstance(found, Hash) else {}


def orders(seed: int) -> Scenario:
    """Return one to three orders at a shop of their own, and sometimes a cancellation."""
    shop = Shop()
    return Scenario(
        [ORDER], CAST, shop.begin, prepare=shop.open, cancel=shop.cancel, resources=shop.resources, lies=shop.lies,
        must_see=MUST_SEE,
    )  # fmt: skip
