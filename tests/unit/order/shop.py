"""The order service's state on the in-memory server, and its routes in front of it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import count

import httpx
from fastapi import FastAPI

from events import OrderCreated, PaymentProcessed
from money import Currency
from order_service import handlers
from order_service.api import order_routes
from order_service.desk import Desk
from order_service.handlers import cancel, confirm, order
from order_service.promises import bounds
from sagastream import Bus, Entrance, Settings, Transaction
from sagastream import keys as names
from sagastream.coordinator.listing import Listing
from sagastream.coordinator.records import Records
from sagastream.endings import Endings
from sagastream.keys import COORDINATOR, Keys
from sagastream.ledger import BEGINNING, Entry, State, parse
from sagastream.overload import Overload
from sagastream.reader import Reader
from sagastream.replies import entries
from sagastream.service import bare_app
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from sagastream.transaction import Transactor
from tests.unit.slot import NOW_MS


class Shop:
    """The order service, seen from behind; ``now_ms`` is the server's time and ``seconds`` the process's."""

    def __init__(self, server: MemoryServer | None = None) -> None:
        self.now_ms = NOW_MS
        self.seconds = 0.0
        self.server = server or MemoryServer(lambda: self.now_ms)
        self.connection = MemoryConnection(self.server)
        self.settings = Settings()
        prefix = self.settings.key_prefix
        self.bus = Bus(self.connection, self.connection, self.connection)
        self.keys = Keys(prefix, "order")
        numbers = count(1)
        self.desk = Desk(
            entrance=Entrance(order, bus=self.bus, settings=self.settings),
            endings=Endings(bus=self.bus, prefix=prefix),
            overload=Overload(bounds(1.0), bus=self.bus, prefix=prefix, clock=lambda: self.seconds),
            sagas=Listing(Records(self.bus, Keys(prefix, COORDINATOR))),
            currency=Currency("EUR", 2),
            tolerance_cents=5,
            new_id=lambda: f"order-{next(numbers)}",
        )

    def client(self) -> httpx.AsyncClient:
        """Return a client of the routes."""

        def lifespan(_: FastAPI) -> AbstractAsyncContextManager[None]:
            return nullcontext()

        app = bare_app("orders", lifespan, is_open=lambda: True, always=())
        app.include_router(order_routes(self.desk))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop")

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass everywhere."""
        self.seconds += seconds
        self.now_ms += int(seconds * 1000)

    def published(self, kind: str) -> list[dict[str, str]]:
        """Return the events of one type, oldest first."""
        return [fields for _, fields in entries(self.server.call("XRANGE", self.keys.events(kind), "-", "+"))]

    def let_stock_catch_up(self) -> None:
        """Let the stock service read every order there is."""
        stream = self.keys.events("OrderCreated")
        groups = self.server.call("XINFO", "GROUPS", stream)
        if groups == []:
            self.server.call("XGROUP", "CREATE", stream, "stock", "0")
        self.server.call("XREADGROUP", "GROUP", "stock", "stock-1", "STREAMS", stream, ">")

    async def confirm(self, order_id: str, saga_id: str, cents: int) -> None:
        """Commit the confirmation, ledger and all, as a consumer does."""
        tx = Transaction(self.desk.entrance.reader, saga_id=saga_id, key="", now_ms=self.now_ms)
        await confirm(PaymentProcessed(order_id=order_id, payment_id="p", amount_cents=cents, currency="EUR"), tx)
        tx.entry = Entry(saga_id, handlers.confirm.__name__, State.UNKNOWN, State.DONE)
        transactor = Transactor(self.connection, self.keys, retention=self.settings.ledger_retention)
        assert (await transactor.commit([tx])).outcomes[0].is_ok

    async def close(self, order_id: str, saga_id: str) -> None:
        """Commit the undo of the beginning, ledger and all, as a consumer does when a saga is turned back."""
        reader = Reader(self.connection, self.keys)  # of its own: it may read in the middle of another's reading
        begun = parse((await reader.read(names.ledger(saga_id), BEGINNING))[0])
        tx = Transaction(reader, saga_id=saga_id, key="", now_ms=self.now_ms)
        closed = await cancel(OrderCreated.model_validate_json(begun.data), tx)
        told = "\n".join((begun.time, closed.type_name(), f"closed-{order_id}", begun.id, closed.payload()))
        tx.entry = Entry(saga_id, BEGINNING, State.DONE, State.UNDONE, told)
        transactor = Transactor(self.connection, self.keys, retention=self.settings.ledger_retention)
        assert (await transactor.commit([tx])).outcomes[0].is_ok
