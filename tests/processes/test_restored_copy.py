"""A shop goes back to an older copy of its store: what was under way ends well, and what is lost is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from sagastream.cli.exits import DIFFERENT
from tests.processes.child import environment
from tests.processes.dev_shop import dev_shop
from tests.processes.orders import an_order
from tests.processes.until import until

SETTINGS = {"PAYMENT_TIMEOUT": "2", "PROVIDER_SLOW": "4", "BLOCK": "0.2"}


async def test_what_happened_after_the_copy_is_named_and_nothing_is_charged_twice(tmp_path: Path) -> None:
    """Copied while an order was being paid; it is cancelled afterwards, others are placed, then the store goes back."""
    log, copy = tmp_path / "redis" / "appendonlydir", tmp_path / "copy"
    async with dev_shop(tmp_path, **SETTINGS) as shop:
        done = await shop.place(an_order())
        assert await shop.ended(done) == ["Completed"]
        paying = await shop.place(an_order(method="SlowProvider"))

        await until(lambda: shop.events("stock", "StockReserved", paying), "the provider is asked")
        shutil.copytree(log, copy)
        assert await shop.cancel(paying)
        lost = await shop.place(an_order(), "placed-twice")
        lost_for_good = await shop.place(an_order())
        assert await shop.ended(paying, lost, lost_for_good) == ["Compensated", "Completed", "Completed"]

    shutil.rmtree(log)
    shutil.move(copy, log)

    async with dev_shop(tmp_path, **SETTINGS) as shop:
        assert await shop.ended(done, paying) == ["Completed", "Compensated"]
        assert [call.outcome.value for call in shop.calls(paying)].count("charged") == 0  # its key stayed closed
        assert await shop.statuses([lost, lost_for_good]) == ["", ""]
        assert audited(tmp_path) == {lost.saga_id, lost_for_good.saga_id}

        again = await shop.place(an_order(), "placed-twice")
        assert again == lost
        assert await shop.ended(again) == ["Completed"]
        assert [call.outcome.value for call in shop.calls(again)] == ["charged", "repeated"]
        assert audited(tmp_path) == {lost_for_good.saga_id}


def audited(data_dir: Path) -> set[str]:
    """Return of which sagas the provider keeps too much or too little, by the command of the guide."""
    command = [sys.executable, "-m", "sagastream.cli", "audit", "--at-rest", "--json"]
    told = subprocess.run(command, env=environment(data_dir), capture_output=True, text=True, timeout=60)
    assert told.returncode == DIFFERENT, told.stdout + told.stderr
    return {each["sagaId"] for each in json.loads(told.stdout)["differences"]}
