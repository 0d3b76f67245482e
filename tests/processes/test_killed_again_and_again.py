"""A thousand orders while every kind of process, and the server, is killed again and again."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.processes.child import ROOT, environment
from tests.processes.dev_shop import DevShop, dev_shop
from tests.processes.orders import METHODS, Body, Placed, an_order
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
SEED = 15
ORDERS = 1000
ROUNDS = 2
AT_ONCE = 12
VICTIMS = (
    "order-service",
    "stock-service",
    "payment-service",
    "notification-service",
    "coordinator",
    "front",
    "payment-provider",
    "redis",
)
WEIGHTS = (20, 15, 15, 10, 5, 10, 15, 10)  # of the payment methods, in their order
SETTINGS = {
    "APPENDFSYNC": "always",
    "ORDER_DEADLINE_PACE": "0.3",
    "PAYMENT_TIMEOUT": "2",
    "PROVIDER_SLOW": "0.2",
    "PROVIDER_SILENCE": "4",
}


async def test_whatever_is_killed_every_saga_ends_and_the_books_agree(tmp_path: Path) -> None:
    """Each kill waits until its victim works again, and comes in the middle of orders."""
    async with dev_shop(tmp_path, "--procs", **SETTINGS) as shop:
        chance, fate = random.Random(SEED), random.Random(SEED)
        bodies = orders(chance)
        placed: list[Placed] = []
        kills = [name for _ in range(ROUNDS) for name in fate.sample(VICTIMS, len(VICTIMS))]

        async def place_some(until_placed: int) -> None:
            for number, body in bodies:
                placed.append(await shop.place(body, key=f"order-{number}"))
                if len(placed) >= until_placed:
                    return

        for at, victim in enumerate(kills, start=1):
            placing = [asyncio.create_task(place_some(ORDERS * at // len(kills))) for _ in range(AT_ONCE)]
            await until(partial(shop.works, victim), f"{victim} works again", within_s=60, every_s=0.1)
            await shop.kill(victim)
            await asyncio.gather(*placing)

        statuses = Counter(await shop.ended(*placed, within_s=60))
        said = books(tmp_path)

        assert said.returncode == 0, f"seed {SEED}\n{said.stdout}{said.stderr}"
        assert len({each.saga_id for each in placed}) == ORDERS
        assert set(statuses) == {"Completed", "Compensated", "Failed"}
        await figures_agree(shop, statuses)


def orders(chance: random.Random) -> Iterator[tuple[int, Body]]:
    products = ("product-1", "product-2", "product-3", "product-4")
    for number in range(ORDERS):
        lines = [(product, chance.randint(1, 3)) for product in chance.sample(products, chance.randint(1, 2))]
        if number % 25 == 0:
            lines.append(("sold-out-product", 1))
        yield number, an_order(*lines, method=chance.choices(METHODS, WEIGHTS)[0])


def books(data_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "books", "--wait", "10"],
        cwd=ROOT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        timeout=60,
    )


async def figures_agree(shop: DevShop, statuses: Counter[str]) -> None:
    """What is counted by status is what the records say, after any crash."""
    told = (await shop.http.get("/api/choreographedsaga/statistics")).raise_for_status().json()
    assert {status: count for status, count in told["byStatus"].items() if count} == dict(statuses)
    assert told["started"] == ORDERS
