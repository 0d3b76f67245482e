"""Orders of every kind, played by the shop's own handlers on the stage, and their books."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from books.audit import SHOP
from coordinator.order_saga import ORDER
from sagastream.audit import Audited
from sagastream.bus import Reply
from sagastream.settings import Settings
from sagastream.testing.actor import Weather
from sagastream.testing.auditor import audited
from sagastream.testing.stage import Stage
from tests.stage.order_cast import CAST, Shop

CALM = Weather(kills=0, freezes=0, crash=0.0, lost_reply=0.0, repeats=2, storm_s=1.0, slow_call=0.0)


@dataclass
class Orders:
    """What a day at the shop left behind, in Redis and at the provider."""

    stage: Stage
    shop: Shop
    settings: Settings

    def saga(self, order_id: str) -> str:
        """Return the saga of an order."""
        return next(saga_id for saga_id, placed in self.shop.placed.items() if placed.id == order_id)

    def call(self, command: str, key: str, *arguments: str | int) -> Reply:
        """Send a command about a key below the prefix."""
        return self.stage.server.call(command, f"{self.settings.key_prefix}{key}", *arguments)

    def calls(self) -> Path:
        """Return the provider's record."""
        return self.settings.data_dir / "provider" / "calls.jsonl"

    def audited(self) -> Audited:
        """Audit everything, the shop's books included."""
        return audited(self.stage.server, self.settings, [ORDER], CAST, [SHOP])


def played(data_dir: Path) -> Orders:
    """Play orders that are done, declined, short of stock, answered too late, and cancelled."""
    shop: Shop | None = None
    stage = Stage([ORDER], CAST, seed=1, weather=CALM, resources=lambda actor: shop.resources(actor) if shop else {})
    shop = Shop(stage)
    day = shop

    async def scenario(_: Stage) -> None:
        await day.open()
        await day.order("done", "CreditCard", 2)
        await day.order("declined", "DeclinedCard", 1)
        await day.order("short", "CreditCard", 9)
        await day.order("late", "TimeoutAfterCharge", 1)
        await day.order("cancelled", "SlowProvider", 1)
        await day.cancel("cancelled")
        await asyncio.sleep(1)

    stage.play(scenario)
    settings = stage.settings.model_copy(update={"data_dir": data_dir})
    orders = Orders(stage, shop, settings)
    orders.calls().parent.mkdir(parents=True)
    calls = [call.model_dump_json(by_alias=True, exclude_defaults=True) for call in shop.record.calls]
    orders.calls().write_text("".join(f"{line}\n" for line in calls))
    return orders
