"""The order saga on the stage: the shop's own handlers, a provider whose calls outlive the worker that made them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from typing import TypeVar

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
from sagastream.testing.stage import Stage, Untrue
from stock_service import store as stock_store
from stock_service.handlers import stock
from stock_service.model import Level

T = TypeVar("T")
METHODS = ("CreditCard", "DeclinedCard", "TimeoutAfterCharge", "BrokenProvider", "SlowProvider", "CreditCard")
PIECES = 5
OUTAGE = 0.6  # chance of a failed call to the outside while the storm lasts: enough to give up now and then
PRICE_CENTS = 14999
CAST: tuple[Participant, ...] = (order, stock, payment, notification)


class DistantProvider:
    """A provider at the end of a long line: a call lands although the worker that made it may be dead by then."""

    def __init__(self, provider: Provider, actor: Actor) -> None:
        self._provider = provider
        self._actor = actor
        self._outside: Callable[[Callable[[], Awaitable[T]]], Awaitable[T]] = actor.outside  # type: ignore[assignment]

    async def charge(self, key: str, amount_cents: int, currency: str, method: str) -> Charged | Refused:
        return await self._outside(lambda: self._provider.charge(key, amount_cents, currency, method))

    async def refund(self, key: str) -> Refund:
        self._may_fail()
        return await self._outside(lambda: self._provider.refund(key))

    async def close(self, key: str) -> Closed:
        self._may_fail()
        return await self._outside(lambda: self._provider.close(key))

    def _may_fail(self) -> None:
        if self._actor.is_unlucky(OUTAGE):
            raise OSError("the line to the provider is down")


class DistantChannel:
    """A mail server at the end of the same line."""

    def __init__(self, sent: dict[str, Message], actor: Actor) -> None:
        self._sent = sent
        self._actor = actor

    async def send(self, message: Message) -> Receipt | Undeliverable:
        async def take() -> Receipt:
            self._sent[message.key] = message
            return Receipt("stage", message.key)

        if self._actor.is_unlucky(OUTAGE):
            raise NotSent("the mail server is down")
        return await self._actor.outside(take)


class Shop:
    """What lies outside of Redis, and whether it agrees with what is inside."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.record = MemoryRecord()
        self.provider = Provider(
            self.record, delays=Delays(timedelta(seconds=2), timedelta(seconds=30)), now_ms=lambda: 0
        )
        self.mails: dict[str, Message] = {}
        self.placed: dict[str, Order] = {}

    def resources(self, actor: Actor) -> Mapping[type, object]:
        gateway = DirectGateway(DistantProvider(self.provider, actor), timeout=timedelta(seconds=5))  # type: ignore[arg-type]
        return {Gateway: gateway, Channel: DistantChannel(self.mails, actor)}

    async def open(self) -> None:
        level = Level("store-1", "product-1", "One", PIECES, 0, PIECES, 0, PRICE_CENTS)
        await self.stage.entrance(stock).change(lambda tx: stock_store.add_level(tx, level))

    async def order(self, order_id: str, method: str, quantity: int) -> None:
        entrance = self.stage.entrance(order)
        total = quantity * PRICE_CENTS
        placed = Order(
            id=order_id, saga_id=entrance.saga_id(order_handlers.OrderCreated, order_id), customer_id="customer-1",
            store_id="store-1", payment_method=method, total_cents=total, currency="EUR",
            lines=(Line("product-1", quantity, PRICE_CENTS),), email=None, request="", status=Status.PENDING,
            placed_ms=0,
        )  # fmt: skip
        self.placed[placed.saga_id] = placed
        self.stage.expect_sagas(1)
        await place(placed, entrance)

    async def cancel(self, order_id: str) -> None:
        pending = next(placed for placed in self.placed.values() if placed.id == order_id)
        await order_handlers.ask_to_cancel(pending, "changed my mind", self.stage.entrance(order))

    def lies(self) -> Iterator[str]:
        """Yield where an end that was told differs from the money and the stock."""
        statuses = self.stage.truth.statuses()
        held = 0
        for saga_id, placed in self.placed.items():
            account = self.provider.account(f"{saga_id}.charge")
            taken = account.charged.amount_cents if account.charged else 0
            kept = taken - account.refunded_cents
            reservation = self._hash(f"{{stock}}:reservation:{placed.id}")
            pieces = placed.lines[0].quantity if reservation.get("status") == "Held" else 0
            held += pieces
            status = statuses.get(saga_id)
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
        level = self._hash("{stock}:level:store-1:product-1")
        available, reserved = int(level.get("available", PIECES)), int(level.get("reserved", 0))
        if available < 0 or reserved != held or available + reserved != PIECES:
            yield f"stock: {available} available, {reserved} reserved, {held} held of {PIECES}"

    def _hash(self, name: str) -> dict[str, str]:
        reply = self.stage.server.call("HGETALL", f"{self.stage.settings.key_prefix}{name}")
        flat = [str(value) for value in reply] if isinstance(reply, list) else []
        return dict(zip(flat[::2], flat[1::2], strict=True))


async def scenario(stage: Stage, shop: Shop) -> None:
    """Place one to three orders, and sometimes cancel one at any instant."""
    await shop.open()
    stage.checks.append(shop.lies)
    orders = stage.chance.randint(1, 3)
    for number in range(orders):
        await shop.order(f"order-{number}", stage.chance.choice(METHODS), stage.chance.choice((1, 2, 3, 9)))
    if stage.chance.random() < 0.4:
        await asyncio.sleep(stage.chance.choice((0.0, 0.01, 0.1, 5.0, 40.0)))
        await shop.cancel(f"order-{stage.chance.randrange(orders)}")


def play(seed: int) -> dict[str, str]:
    """Play one seed of the order saga; return the statuses the sagas ended with."""
    shop: Shop | None = None

    def resources(actor: Actor) -> Mapping[type, object]:
        assert shop is not None
        return shop.resources(actor)

    stage = Stage([ORDER], CAST, seed=seed, resources=resources)
    shop = Shop(stage)
    the_shop = shop
    return stage.play(lambda on: scenario(on, the_shop))


def played(seeds: range) -> tuple[Counter[str], list[str]]:
    """Play seeds in a process of their own; return how sagas ended, and the stories of those that lied."""
    ends: Counter[str] = Counter()
    lies: list[str] = []
    for seed in seeds:
        try:
            ends.update(play(seed).values())
        except Untrue as lie:
            lies.append(str(lie))
    return ends, lies
