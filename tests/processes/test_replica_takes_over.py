"""A replica takes the place of a shop's server, as the guide says; the address moves, and no connection is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sagastream.bus import Bus, connect
from sagastream.embedded import EmbeddedServer
from tests.processes.crew import ALL, COORDINATOR, ORDER, PAYMENT, STOCK, Crew, crew_on
from tests.processes.orders import Placed, an_order
from tests.processes.until import until
from tests.processes.wire import Wire


@dataclass(frozen=True)
class Pair:
    """A shop on one address that leads to a primary, and the replica of that."""

    shop: Crew
    primary: Bus
    replica: Bus
    replica_port: int

    async def follows(self) -> bool:
        """Tell whether the replica has everything."""
        told = str(await self.replica.query.execute("INFO", "replication"))
        return "master_link_status:up" in told

    async def is_primary(self) -> bool:
        """Tell whether the replica has taken over."""
        return "role:master" in str(await self.replica.query.execute("INFO", "replication"))


@asynccontextmanager
async def a_pair(data_dir: Path) -> AsyncIterator[Pair]:
    """Run a shop on a server that has a replica."""
    with EmbeddedServer(data_dir / "one") as one, EmbeddedServer(data_dir / "other") as other:
        primary, replica = (connect(url, name="operator", block=timedelta(0)) for url in (one.url, other.url))
        await replica.query.execute("REPLICAOF", "127.0.0.1", str(one.port))
        async with Wire(one.port) as wire, crew_on(wire, data_dir, ORDER_DEADLINE_PACE="1") as shop:
            pair = Pair(shop, primary, replica, other.port)
            await until(pair.follows, "the replica follows")
            yield pair
        await primary.close()
        await replica.close()


async def test_a_planned_switch_loses_nothing_and_needs_no_restart(tmp_path: Path) -> None:
    """Orders go on meanwhile: each is taken in, sooner or later, and ends; nobody calls for a person."""
    async with a_pair(tmp_path) as pair:
        shop, placed = pair.shop, list[Placed]()
        is_over = asyncio.Event()

        async def order() -> None:
            while not is_over.is_set():
                placed.append(await shop.place(an_order(), within_s=20))

        async with asyncio.TaskGroup() as customers:
            for _ in range(3):
                customers.create_task(order())
            await until(lambda: _is(len(placed) >= 10), "orders are placed")
            told = await pair.primary.query.execute("FAILOVER", "TO", "127.0.0.1", str(pair.replica_port))
            await until(pair.is_primary, "the replica takes over")
            shop.wire.lead_to(pair.replica_port)
            many = len(placed)
            await until(lambda: _is(len(placed) >= many + 20), "orders are placed again", 20)
            is_over.set()

        await shop.work(*ALL)  # also who writes nothing there
        assert told == "OK"
        assert set(await shop.ended(*placed)) == {"Completed"}
        assert (await shop.books()).orders.keys() >= {each.order_id for each in placed}
        for name in (ORDER, STOCK, PAYMENT, COORDINATOR):
            assert shop.errors(name) == []


async def _is(so: bool) -> bool:
    return so
