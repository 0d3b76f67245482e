"""Orders of every kind, played by the shop's own handlers on the stage, and their books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from books.audit import SHOP
from coordinator.order_saga import ORDER
from sagastream.audit import Audited
from sagastream.bus import Reply
from sagastream.settings import Settings
from sagastream.testing.auditor import audited
from sagastream.testing.scenario import Scenario
from sagastream.testing.stage import Stage
from tests.stage.order_cast import CAST, Shop


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


ORDERS = (
    ("done", "CreditCard", 2),
    ("declined", "DeclinedCard", 1),
    ("short", "CreditCard", 9),
    ("late", "TimeoutAfterCharge", 1),
    ("cancelled", "SlowProvider", 1),
)


def played(data_dir: Path, wanted: Sequence[tuple[str, str, int]] = ORDERS) -> Orders:
    """Play orders, each with its way to pay and its pieces: done, declined, short of stock, late, cancelled."""
    shop = Shop()

    async def begin(stage: Stage, number: int) -> str:
        order_id, method, quantity = wanted[number]
        saga_id = await shop.order(stage, order_id, method, quantity)
        if order_id == "cancelled":
            await shop.turn_back(stage, saga_id)
        return saga_id

    day = Scenario([ORDER], CAST, begin, prepare=shop.open, resources=shop.resources, lies=shop.lies)
    stage = Stage(day, seed=1, only=frozenset(), sagas=range(len(wanted)))
    stage.play()
    settings = stage.settings.model_copy(update={"data_dir": data_dir})
    orders = Orders(stage, shop, settings)
    orders.calls().parent.mkdir(parents=True)
    calls = [call.model_dump_json(by_alias=True, exclude_defaults=True) for call in shop.record.calls]
    orders.calls().write_text("".join(f"{line}\n" for line in calls))
    return orders
