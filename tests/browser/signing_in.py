"""What an operator does before anything else. Asserts nothing."""

from __future__ import annotations

from tests.browser.page import Page
from tests.browser.stand import TOKEN, Stand


async def signed_in(page: Page, stand: Stand) -> None:
    """Go to the first page and say who one is."""
    await page.go(f"{stand.url}/")
    await asked_who(page)
    await say_ann(page, TOKEN)
    await page.shows("ann · sign out")


async def asked_who(page: Page) -> None:
    """Open the dialog that asks who one is."""
    await page.click("Operator sign-in")
    await page.until("document.querySelector('dialog[open] input[name=token]')")


async def say_ann(page: Page, token: str) -> None:
    """Say in that dialog that one is Ann, with a token that may be wrong."""
    await page.type("input[name=name]", "ann")
    await page.type("input[name=token]", token)
    await page.click("Sign in", "dialog button")
