"""A running shop, seen by its customers and by its auditors. Starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Self
from uuid import uuid4

import httpx

from books.facts import Books
from books.reading import Sources, read_books, read_outbox
from books.rules import Difference, check
from payment_service.app import record_path
from payment_service.provider_books import Call
from payment_service.provider_record import read as read_calls
from sagastream import keys as names
from sagastream.bus import connect
from sagastream.coordinator.views import StateView
from sagastream.envelope import pairs
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.lifecycle import Status
from tests.processes.orders import Body, Placed
from tests.processes.until import until

PREFIX = "saga:"
TRY_AGAIN = frozenset({502, 503, 504})


class Shop:
    """Places orders over HTTP; reads states, streams and books past the services."""

    def __init__(self, base_url: str, redis_url: str, data_dir: Path) -> None:
        self.http = httpx.AsyncClient(
            base_url=base_url, timeout=20, trust_env=False, limits=httpx.Limits(max_connections=30)
        )
        self.data_dir = data_dir
        self.bus = connect(redis_url, name="auditor", block=timedelta(0))
        self.server = self.bus.query

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self.bus.close()

    async def place(self, body: Body, key: str | None = None, *, within_s: float = 60.0) -> Placed:
        """Place an order, again under the same key while the shop cannot be reached or takes no orders."""
        headers = {"Idempotency-Key": key or uuid4().hex}

        async def ask() -> httpx.Response | None:
            try:
                answer = await self.http.post("/api/orders/choreographed-saga", json=body, headers=headers)
            except httpx.TransportError:
                return None
            return None if answer.status_code in TRY_AGAIN else answer

        answer = await until(ask, "an answer to an order", within_s, every_s=0.2)
        assert answer.status_code == 202, answer.text
        return Placed(answer.json()["orderId"], answer.json()["sagaId"])

    async def cancel(self, placed: Placed) -> bool:
        """Ask for an order to be cancelled; tell whether that was granted."""
        answer = await self.http.post(f"/api/orders/{placed.order_id}/cancel")
        assert answer.status_code in (202, 409), answer.text
        return answer.status_code == 202

    async def order_status(self, placed: Placed) -> str:
        """Return where an order stands."""
        answer = await self.http.get(f"/api/orders/{placed.order_id}")
        return str(answer.raise_for_status().json()["status"])

    async def state(self, placed: Placed) -> StateView | None:
        """Return what is shown of an order's saga, None while nothing is."""
        answer = await self.http.get(f"/api/choreographedsaga/state/{placed.saga_id}")
        if answer.status_code == 404:
            return None
        return StateView.model_validate(answer.raise_for_status().json())

    async def stock(self, product: str) -> tuple[int, int]:
        """Return how many pieces of a product are available and how many reserved."""
        level = (await self.http.get(f"/api/stock/store-1/{product}")).raise_for_status().json()
        return level["available"], level["reserved"]

    async def statuses(self, placed: Sequence[Placed]) -> list[str]:
        """Return the recorded status of each order's saga, empty while there is no record."""
        keys = Keys(PREFIX, COORDINATOR)
        commands = [("HGET", keys.key(names.record(each.saga_id)), "status") for each in placed]
        return [str(reply or "") for reply in await self.server.pipeline(commands)]

    async def ended(self, *placed: Placed, within_s: float = 30.0) -> list[str]:
        """Return the statuses of these orders' sagas once all have ended."""

        async def ask() -> list[str]:
            statuses = await self.statuses(placed)
            return statuses if all(status and Status(status).is_end for status in statuses) else []

        return await until(ask, "every saga ends", within_s, every_s=0.02 + len(placed) / 5000)

    async def events(self, owner: str, type_name: str, placed: Placed) -> list[dict[str, str]]:
        """Return the events of one type that were published for an order's saga; told again under its id, it is one."""
        entries = await self.entries(Keys(PREFIX, owner).events(type_name))
        mine = [fields for _, fields in entries if fields["correlationid"] == placed.saga_id]
        return list({fields["id"]: fields for fields in mine}.values())

    async def entries(self, stream: str) -> list[tuple[str, dict[str, str]]]:
        """Return all entries of a stream."""
        reply = await self.server.execute("XRANGE", stream, "-", "+")
        assert isinstance(reply, list)
        found = []
        for entry in reply:
            assert isinstance(entry, list)
            assert isinstance(entry[1], list)
            found.append((str(entry[0]), pairs([str(value) for value in entry[1]])))
        return found

    def calls(self, placed: Placed) -> list[Call]:
        """Return what the provider recorded for an order, oldest first."""
        calls = read_calls(record_path(self.data_dir))
        return [call for call in calls if call.key.partition(".")[0] == placed.saga_id]

    def mails(self, *placed: Placed) -> list[tuple[int, int]]:
        """Return how many confirmations and how many cancellation notices each order's customer got."""
        mails = read_outbox(self.data_dir / "outbox")
        return [(mails[each.order_id, "notify"], mails[each.order_id, "tell_cancelled"]) for each in placed]

    async def books(self) -> Books:
        """Read all books."""
        calls = record_path(self.data_dir)
        return await read_books(Sources(self.server, PREFIX, calls, self.data_dir / "outbox"))

    async def told_of_cancellation(self, *placed: Placed) -> None:
        """Wait for the notices, which are no part of the saga and may follow its end."""

        async def ask() -> bool:
            return all(notices for _, notices in self.mails(*placed))

        await until(ask, "every cancelled customer is told")

    async def differences(self) -> list[Difference]:
        """Return where the books do not agree."""
        return [difference for checked in check(await self.books()) for difference in checked.differences]
