"""How soon the console shows what happened: 100 sagas a second, 10,000 in the list. `make test-many` judges it.

FIGURES=file keeps what was measured."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from sagastream.saga.progress import Kind
from tests.browser.killable import coordinator
from tests.browser.page import Page
from tests.browser.stand import BEGIN, CHARGE, COMPLETED, CONFIRM, NOTIFY, STOCK, Stand

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.many, pytest.mark.processes]

STORED = 10_000
PER_SECOND = 100
SECONDS = 15
TICK_S = 0.02
STEP_S = 0.08  # from one fact of a saga to its next
P95_MS = 100
LONGEST_TASK_MS = 100
WAY = (BEGIN, STOCK, CHARGE, CONFIRM, NOTIFY)
# When each saga was painted first, and when first as completed, by the clock that stamps the entries of this machine.
WATCH = """
    window.seen = {}; window.tasks = [];
    const look = () => {
        const at = Date.now();
        for (const row of document.querySelectorAll("tr[data-saga]")) {
            const status = row.querySelector(".badge").innerText;
            seen[row.dataset.saga] ??= at;
            if (status === "Completed") seen[`${row.dataset.saga} ended`] ??= at;
        }
    };
    const painted = new MessageChannel();
    painted.port1.onmessage = look;
    new MutationObserver(() => painted.port2.postMessage(null))
        .observe(document.querySelector("tbody"), { childList: true, subtree: true, characterData: true });
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration)))
        .observe({ type: "longtask" });
"""


async def test_the_list_shows_a_change_within_a_tenth_of_a_second(page: Page, tmp_path: Path) -> None:
    """From the id of the entry that tells of it, painted, for 95 of 100 changes; nothing blocks the page meanwhile."""
    async with coordinator(tmp_path) as process:
        shop = process.shop
        for at in range(0, STORED, 200):
            names = [f"stored-{number:05}" for number in range(at, at + 200)]
            await shop.tell_each(names, *COMPLETED, begun_s_ago=3600 - at / 10)
        await page.reach(f"{shop.url}/#/sagas")
        await page.shows("100 sagas: the newest")
        await page.until("document.querySelector('.connection').innerText === 'Live'")
        await page.ask(WATCH)

        await customers(shop)
        await page.until(f"seen['new-{PER_SECOND * SECONDS - 1:05} ended']")

        seen, tasks = await page.ask("[seen, tasks]")
        begun, ended = written(await shop.entries())
    shown = sorted(seen[saga] - at for saga, at in begun.items() if saga in seen)
    done = sorted(seen[f"{saga} ended"] - at for saga, at in ended.items() if f"{saga} ended" in seen)
    told = f"begun {told_ms(shown)}; ended {told_ms(done)}; longest task {max(tasks, default=0):.0f} ms"
    if file := os.environ.get("FIGURES"):
        Path(file).write_text(f"{told}\n")
    assert len(shown) == PER_SECOND * SECONDS, told
    assert len(done) >= 0.95 * PER_SECOND * SECONDS, told
    assert quantile(shown, 0.95) < P95_MS, told
    assert quantile(done, 0.95) < P95_MS, told
    assert max(tasks, default=0) <= LONGEST_TASK_MS, told


async def customers(shop: Stand) -> None:
    """Begin sagas at an even pace and let each go its way, all facts of one tick by one commit."""
    loop = asyncio.get_running_loop()
    each, apart = round(PER_SECOND * TICK_S), round(STEP_S / TICK_S)
    ticks = round(SECONDS / TICK_S)
    start = loop.time()
    for tick in range(ticks + apart * len(WAY)):
        await asyncio.sleep(start + tick * TICK_S - loop.time())
        happened = [
            (f"new-{(tick - nth * apart) * each + one:05}", step, Kind.DONE)
            for nth, step in enumerate(WAY)
            if 0 <= tick - nth * apart < ticks
            for one in range(each)
        ]
        await shop.add_each(happened)
    assert loop.time() - start < SECONDS * 1.1, "the sagas were not told as fast as they were to begin"


def written(entries: Sequence[tuple[int, list[str]]]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the instants (epoch ms) of the first entry and of the last that tell of each new saga."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for at_ms, sagas in entries:
        for saga in sagas:
            if saga.startswith("new-"):
                first.setdefault(saga, at_ms)
                last[saga] = at_ms
    return first, last


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which a share of them lies."""
    return ordered[math.ceil(share * len(ordered)) - 1]


def told_ms(ordered: Sequence[float]) -> str:
    """Return what is told of delays."""
    shares = {share: quantile(ordered, share) for share in (0.5, 0.95, 0.99)}
    return ", ".join(f"p{share * 100:g} {value:.0f} ms" for share, value in shares.items())
