"""What the console claims of its connection when the coordinator dies, the tab is out of sight or the page is left."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sagastream.saga.progress import Kind
from tests.browser.chromium import Chromium
from tests.browser.killable import coordinator
from tests.browser.page import Page, opened
from tests.browser.stand import CHARGE, COMPENSATED, CONFIRM, NOTIFY, WAITING, Stand

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOST_CONNECTIONS = 6  # that a browser opens to one server
LIVE = "document.querySelector('.connection').innerText === 'Live' && !document.querySelector('.outage')"
STATUSES = """Object.fromEntries([...document.querySelectorAll("tr[data-saga]")].map((e) =>
    [e.dataset.saga, e.querySelector(".badge").innerText]))"""


@pytest.mark.processes
async def test_a_page_says_that_the_coordinator_is_dead_and_then_shows_what_happened_meanwhile(
    browser: Chromium, tmp_path: Path
) -> None:
    """The coordinator is killed under a list, a saga and the overview, and comes back at the same address."""
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(coordinator(tmp_path))
        shop = process.shop
        await shop.tell("before", *WAITING)
        views = ("#/sagas", "#/saga/before", "#/")
        the_list, the_saga, the_overview = pages = [await stack.enter_async_context(opened(browser)) for _ in views]
        for page, view in zip(pages, views, strict=True):
            await page.reach(f"{shop.url}/{view}")
            await page.until(LIVE)
        await the_list.shows("before")

        process.kill()
        for page in pages:
            await page.shows("The connection to the coordinator is lost.")
            assert "What you see is as of" in await page.text(".outage")
            assert await page.text(".connection") == "Not live"
        await shop.tell("meanwhile", *COMPENSATED)
        for step in (CHARGE, CONFIRM, NOTIFY):
            await shop.add("before", step, Kind.DONE)
        await shop.tell("abandoned", (0.1, CHARGE, Kind.LOST))
        process.start()

        for page in pages:
            await page.until(LIVE, within_s=30)
        shown = [["abandoned", "Needs attention"], ["before", "Completed"], ["meanwhile", "Compensated"]]
        await the_list.until(f"JSON.stringify(Object.entries({STATUSES}).sort()) === JSON.stringify({shown})")
        await the_saga.until("document.querySelector('.saga-head .badge').innerText === 'Completed'")
        await the_saga.shows("NotificationSent")
        await the_overview.until("document.querySelector('.card.stuck')?.innerText.includes('abandoned')")
        assert [page.faults for page in pages] == [[], [], []]


async def test_pages_that_were_left_hold_no_connection(full: Stand, page: Page) -> None:
    """Browsers keep them to go back to; with their connections, the next page would wait for ever."""
    for number in range(MOST_CONNECTIONS + 1):
        await page.go(f"{full.url}/?{number}#/sagas")
        await page.until(LIVE)
        await page.shows("completed-1")


async def test_a_tab_out_of_sight_gives_its_connection_back_and_catches_up_when_it_is_seen(
    full: Stand, page: Page
) -> None:
    saga = await full.tell("out-of-sight", *WAITING)
    await page.go(f"{full.url}/#/sagas?id=out-of-sight")
    await page.until(f"{STATUSES}['{saga}'] === 'In progress'")

    await page.hide(True)
    await page.until("document.querySelector('.connection').innerText === 'Catching up'")
    for step in (CHARGE, CONFIRM, NOTIFY):
        await full.add(saga, step, Kind.DONE)
    assert await page.ask(f"{STATUSES}['{saga}']") == "In progress"
    await page.hide(False)

    await page.until(f"{STATUSES}['{saga}'] === 'Completed'")
    await page.until(LIVE)
