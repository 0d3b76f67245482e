"""What a person sees and does on the console, in a real browser."""

from __future__ import annotations

import pytest

from tests.browser.page import Page
from tests.browser.stand import Stand

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_since_and_until_of_a_stuck_saga_are_two_clicks_away(full: Stand, page: Page) -> None:
    """From the first page, without typing; also of one that is not among the newest."""
    given = "stuck-00"
    await page.go(f"{full.url}/")

    await page.click("All of them (these are the newest 12)")
    await page.click(given)

    await page.shows("Why it is waiting")
    told = await page.text(".why-waiting")
    wait = (await page.ask(f"fetch('/api/v1/sagas/{given}').then((answer) => answer.json())"))["waitingFor"]
    assert wait["who"] == "payment"
    assert f"{wait['who']} {wait['step']}" in told
    for name in ("since", "until"):
        assert wait[name][11:19] in told


async def test_the_first_page_tells_who_since_and_until_of_what_is_stuck(full: Stand, page: Page) -> None:
    await page.go(f"{full.url}/")

    await page.shows("stuck-14")

    first = await page.text(".card.stuck")
    assert "Needs attention" in first
    assert "payment charge payment" in first
    assert "Since" in first
    assert "Until" in first
