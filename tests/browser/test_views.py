"""The map, the streams and what can be tried, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordinator.order_saga import ORDER
from sagastream.coordinator.api import saga_routes
from sagastream.coordinator.console.api import console_routes
from sagastream.coordinator.definition_api import definition_routes
from sagastream.live.api import live_routes
from sagastream.service import Context, Service
from tests.browser.chromium import Chromium
from tests.browser.page import Page, opened
from tests.browser.stand import COMPENSATED, COMPLETED, FAILED, NOTIFY, STUCK, Stand, stand
from tests.processes.dev_shop import dev_shop
from tests.processes.until import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What stands at every edge, as numbers by word.
EDGES = """Object.fromEntries([...document.querySelectorAll("[data-edge]")].map((e) => [e.dataset.edge,
    Object.fromEntries([...e.textContent.matchAll(/([\\d,]+) ?([a-z ]*)/g)]
        .map(([, number, words]) => [words, Number(number.replace(",", ""))]))]))"""


async def edges(page: Page) -> dict[tuple[str, str], int]:
    """Return the counts of the map by edge and word."""
    told = await page.ask(EDGES)
    return {(edge, words): count for edge, counts in told.items() for words, count in counts.items()}


async def test_every_edge_of_the_map_counts_what_went_along_it_while_one_looks(full: Stand, page: Page) -> None:
    await page.go(f"{full.url}/#/map?window=ever")
    await page.until("document.querySelector('[data-edge=Completed]')?.textContent.match(/[0-9]/)")
    before = await edges(page)

    for number, way in enumerate((COMPLETED, COMPLETED, COMPENSATED, FAILED, STUCK)):
        await full.tell(f"mapped-{number}", *way)

    expected = {
        ("begin forward", "begun"): 5,
        ("reserve stock forward", "done"): 4,
        ("reserve stock against", "refused"): 1,
        ("reserve stock back", "undone"): 2,
        ("charge payment forward", "done"): 2,
        ("charge payment against", "refused"): 1,
        ("charge payment against", "late"): 1,
        ("charge payment back", "failed"): 1,
        ("confirm order forward", "done"): 2,
        ("confirm order against", "barred"): 1,
        ("notify customer forward", "done"): 2,
        ("turned back", "turned back"): 2,
        ("Compensated", "compensated"): 1,
        ("Failed", "failed"): 1,
        ("Completed", ""): 2,
    }

    async def are_counted() -> bool:
        now = await edges(page)
        return {
            key: count - before.get(key, 0) for key, count in now.items() if count != before.get(key, 0)
        } == expected

    await until(are_counted, "the counts of what happened", within_s=10)


async def test_a_step_of_the_map_leads_to_the_sagas_that_wait_there(full: Stand, page: Page) -> None:
    await page.go(f"{full.url}/#/map")
    await page.settled()

    await page.click_on(".map a:nth-of-type(1) text.name")

    await page.until("location.hash.startsWith('#/sagas?step=')")


async def test_streams_tell_who_reads_how_far_and_what_is_not_settled(full: Stand, page: Page) -> None:
    await full.read_requests("payment", "till-1", 2)
    await page.go(f"{full.url}/#/streams")
    await page.settled()

    row = "[...document.querySelectorAll('.streams tbody tr')].find((e) => e.innerText.includes('till-1'))"
    await page.until(row)

    told = await page.ask("fetch('/api/v1/streams').then((answer) => answer.json())")
    groups = [group for stream in told["streams"] for group in stream["groups"]]
    (group,) = [group for group in groups if group["name"] == "payment"]
    cells = await page.ask(f"[...{row}.cells].map((cell) => cell.innerText.trim())")
    assert cells[0].endswith("requests:payment by saga")
    assert [cells[2], cells[3], cells[5]] == ["payment", str(group["lag"]), "2"]
    assert re.search(r"till-1 holds 2, (asked|given some) \S+ \S+ ago", cells[7]), cells[7]
    assert f"of {len(groups)} ha" in await page.text("main")
    await full.tell("asked-meanwhile", *STUCK)
    await page.until(f"Number({row}.cells[3].innerText) > {group['lag']}")


@pytest.mark.processes
async def test_an_order_that_goes_wrong_can_be_tried_and_watched(browser: Chromium, tmp_path: Path) -> None:
    """In a whole shop: what was chosen is placed, and its saga shown until it has ended."""
    async with dev_shop(tmp_path) as shop, opened(browser) as page:
        await page.go(f"{shop.http.base_url}#/")
        await page.click("Try it")
        await page.click("The card is declined", "label strong")
        await page.click("Place an order")

        await page.until("document.querySelector('.saga-head .badge')?.innerText === 'Compensated'", within_s=30)
        assert "PaymentFailed" in await page.text(".events")
        assert "StockReleased" in await page.text(".events")

        await page.click("All goes well", "label strong")
        await page.click("Place an order")

        await page.until("document.querySelector('.saga-head .badge')?.innerText === 'Completed'", within_s=30)
        assert NOTIFY in await page.text(".events")
        assert page.faults == []


def without_trial(context: Context) -> Service:
    """Return a coordinator's routes as a project wires them that offers nothing to be tried."""
    wired = {"bus": context.bus, "settings": context.settings}
    routers = [
        saga_routes([ORDER], **wired), live_routes([ORDER], **wired), definition_routes([ORDER]), console_routes()
    ]  # fmt: skip
    return Service("coordinator", routers=routers)


async def test_nothing_can_be_tried_where_the_project_offers_nothing(page: Page, tmp_path: Path) -> None:
    async with stand(tmp_path, without_trial) as shop:
        await page.go(f"{shop.url}/#/")
        await page.shows("sagastream ")
        assert "Try it" not in await page.text("nav")

        await page.go(f"{shop.url}/#/try")
        await page.shows("Nothing can be tried here.")
