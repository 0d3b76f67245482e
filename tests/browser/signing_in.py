"""What an operator does before anything else. Asserts nothing."""

from __future__ import annotations

from tests.browser.page import Page
from tests.browser.stand import TOKEN, Stand


async def signed_in(page: Page, stand: Stand) -> None:
    """Go to the first page and say who one is."""
    await page.go(f"{stand.url}/")
    await page.click("Operator sign-in")
    await page.until("document.querySelector('dialog[open] input[name=token]')")
    await page.type("input[name=name]", "ann")
    await page.type("input[name=token]", TOKEN)
    await page.click("Sign in")
    await page.shows("ann · sign out")
