"""The whole shop in virtual time: its own handlers and table; a till and a mailbox in place of the world outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

from coordinator.order_saga import ORDER
from events import OrderCreated
from notification_service.channels import Channel, Message, Receipt, Undeliverable
from notification_service.handlers import notification
from order_service import handlers
from order_service import store as orders
from order_service.handlers import order
from order_service.model import Line, Order
from payment_service.gateway import Charged, Closed, Gateway, OutcomeUnknown, Refund, Refused
from payment_service.handlers import payment
from sagastream.keys import Keys
from sagastream.reader import Reader
from sagastream.testing.memory_connection import MemoryConnection
from stock_service import store as shelves
from stock_service.handlers import stock
from stock_service.model import Level
from tests.unit.core.world import Worker, World

PIECES, PRICE_CENTS = 10, 14_999
TOTAL_CENTS = 2 * PRICE_CENTS


class Till:
    """A provider that takes what a test says, and can be made not to give it back. Implements ``Gateway``."""

    def __init__(self) -> None:
        self.taken: dict[str, Charged] = {}
        self.given_back: dict[str, int] = {}
        self.closed: set[str] = set()
        self.takes: Callable[[int, str], Charged] = lambda cents, currency: Charged("pay_1", cents, currency)
        self.is_stuck = False
        self.is_quick = asyncio.Event()
        self.is_quick.set()

    async def charge(self, key: str, amount_cents: int, currency: str, method: str) -> Charged | Refused:
        """Take what is to be taken, once; may wait before that."""
        await self.is_quick.wait()
        if key in self.closed and key not in self.taken:
            return Refused("closed")
        return self.taken.setdefault(key, self.takes(amount_cents, currency))

    async def refund(self, key: str) -> Refund:
        """Give back what was taken, unless stuck."""
        if self.is_stuck:
            raise OutcomeUnknown("the provider did not answer")
        self.given_back[key] = self.taken[key].amount_cents
        return Refund(self.given_back[key])

    async def close(self, key: str) -> Closed:
        """Forbid later charges."""
        self.closed.add(key)
        return Closed(self.taken.get(key))

    @property
    def kept_cents(self) -> int:
        """Return what was taken and not given back, under all keys."""
        return sum(each.amount_cents for each in self.taken.values()) - sum(self.given_back.values())


class Mailbox:
    """A channel that keeps every message. Implements ``Channel``."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Keep a message."""
        self.mails.append(message)
        return Receipt("mailbox", message.key)


class WholeShop:
    """One store with ``PIECES`` of one product; every order is about two of them."""

    def __init__(self, gateway: Gateway | None = None) -> None:
        self.world = World()
        self.till, self.mailbox = Till(), Mailbox()
        self._gateway = gateway or self.till

    def workers(self) -> list[Worker]:
        """Return the coordinator and every service, not yet running."""
        given = {Gateway: self._gateway, Channel: self.mailbox}
        services = (order, stock, payment, notification)
        return [self.world.coordinator(ORDER), *(self.world.consumer(each, resources=given) for each in services)]

    async def open(self) -> None:
        """Fill the shelf."""
        level = Level("store-1", "product-1", "One", PIECES, 0, PIECES, 0, PRICE_CENTS)
        await self.world.entrance(stock).change(lambda tx: shelves.add_level(tx, level))

    async def place(self, order_id: str = "order-1", method: str = "CreditCard") -> str:
        """Place an order; return the id of its saga."""
        entrance = self.world.entrance(order)
        placed = Order(
            id=order_id, saga_id=entrance.saga_id(OrderCreated, order_id), customer_id="customer-1", store_id="store-1",
            payment_method=method, total_cents=TOTAL_CENTS, currency="EUR",
            lines=(Line("product-1", 2, PRICE_CENTS),), email="ann@example.org",
        )  # fmt: skip
        return (await handlers.place(placed, entrance)).saga_id

    async def cancel(self, order_id: str = "order-1") -> bool:
        """Cancel an order as its customer does; tell whether it was in time."""
        return await handlers.ask_to_cancel(await self.order(order_id), "too slow", self.world.entrance(order))

    async def order(self, order_id: str = "order-1") -> Order:
        """Return an order as it is stored."""
        reader = Reader(MemoryConnection(self.world.server), Keys(self.world.settings.key_prefix, "order"))
        found = await orders.load(reader, order_id)
        assert found is not None
        return found

    async def reprice_and_restock(self, pieces: int) -> None:
        """Halve the price of the product, and put pieces on its shelf."""
        entrance = self.world.entrance(stock)
        level = await shelves.load_level(entrance.reader, "store-1", "product-1")
        assert level is not None
        await entrance.change(lambda tx: shelves.describe(tx, replace(level, price_cents=PRICE_CENTS // 2)))
        await entrance.change(lambda tx: shelves.restock(tx, level, pieces, None))

    def copy(self) -> Callable[[], None]:
        """Copy the store; what is returned puts the copy in the place of what was stored since."""
        space = self.world.server.space
        older = deepcopy((space.values, space.expiries))

        def restore() -> None:
            space.values, space.expiries = older

        return restore

    def shelf(self) -> tuple[int, int]:
        """Return how many pieces are available and how many are reserved."""
        level = self.world.hash("stock", "level:store-1:product-1")
        return int(level["available"]), int(level["reserved"])
