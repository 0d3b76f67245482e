"""What a person sees and does on the console, in a real browser."""

from __future__ import annotations

import pytest

from sagastream.saga.progress import Kind
from tests.browser.page import Page
from tests.browser.stand import CHARGE, CONFIRM, STOCK, STUCK, TOKEN, Stand
from tests.browser.vendoring import PACKAGES
from tests.deploy.needs import absent

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = PACKAGES / "axe-core" / "axe.min.js"
FOR_OPERATORS = ("#/letters", "#/repairs")
VIEWS = (
    "#/", "#/sagas", "#/sagas?stuck=true", "#/saga/completed-1", "#/saga/compensated-1", "#/saga/waiting-1",
    "#/saga/stuck-03", "#/streams", "#/map", "#/try", *FOR_OPERATORS,
)  # fmt: skip


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


async def signed_in(page: Page, stand: Stand) -> None:
    """Go to the first page and say who one is."""
    await page.go(f"{stand.url}/")
    await page.click("Operator sign-in")
    await page.until("document.querySelector('dialog[open] input[name=token]')")
    await page.type("input[name=name]", "ann")
    await page.type("input[name=token]", "not the token")
    await page.click("Sign in")
    await page.shows("that is not the OPERATOR_TOKEN")
    await page.type("input[name=token]", TOKEN)
    await page.click("Sign in")
    await page.shows("ann · sign out")


async def test_an_operator_acts_with_token_and_reason_and_sees_what_became_of_it(full: Stand, page: Page) -> None:
    await full.tell("acted-on", *STUCK, begun_s_ago=500)
    await signed_in(page, full)
    await page.go(f"{full.url}/#/saga/acted-on")

    await page.click("State what happened")
    await page.until("document.querySelector('dialog[open]')")
    await page.type("textarea[name=evidence]", "their statement of today")
    await page.type("input[name=reason]", "nobody answers <b>any</b> more")
    await page.click("State what happened", "dialog button")

    await page.until("document.querySelector('.saga-head .badge').innerText === 'Compensated'")
    await page.shows("ann: nobody answers <b>any</b> more")
    assert "Ask again" not in await page.text("main")


async def test_the_token_is_kept_in_this_tab_alone(full: Stand, page: Page) -> None:
    await signed_in(page, full)

    kept = await page.ask("[Object.values(sessionStorage).join(), Object.values(localStorage).join(), document.cookie]")

    assert TOKEN in kept[0]
    assert kept[1:] == ["", ""]
    await page.click("ann · sign out")
    await page.shows("Operator sign-in")
    assert TOKEN not in await page.ask("Object.values(sessionStorage).join()")


async def test_many_sagas_are_repaired_after_a_look_at_what_would_become_of_them(full: Stand, page: Page) -> None:
    await full.tell("bulk-1", *STUCK, begun_s_ago=90_000)
    await signed_in(page, full)
    await page.go(f"{full.url}/#/sagas?id=bulk-")

    await page.click("Repair many…")
    await page.until("document.querySelector('dialog[open] input[name=reason]')")
    await page.type("input[name=reason]", "the bank is open again")
    await page.click("Show what it would do")
    await page.shows("1 saga")
    await page.shows("bulk-1")
    await page.click("Begin: ask again for whatever is open")

    await page.shows("Repairs of many sagas")
    await page.shows("the bank is open again")
    assert "0 of 1" in await page.text(".grid")


HOSTILE = "</td><img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


async def test_what_events_say_is_text_and_nothing_else(full: Stand, page: Page) -> None:
    """In the list, on the first page and in the saga itself, whatever a service put into its reasons."""
    told = (STOCK, Kind.DONE), (CHARGE, Kind.OVERDUE, HOSTILE), (CONFIRM, Kind.BARRED), (CHARGE, Kind.LOST, HOSTILE)
    await full.tell("hostile", *((n / 10, *one) for n, one in enumerate(told)), initiator=HOSTILE[:60])

    for view in ("#/", "#/sagas?id=hostile", "#/saga/hostile"):
        await page.go("about:blank")
        await page.go(f"{full.url}/{view}")
        await page.shows(HOSTILE[:60])
        assert await page.ask("document.querySelectorAll('main img, main script').length") == 0
        assert "taken" not in await page.ask("document.title")


@pytest.mark.parametrize("view", VIEWS)
async def test_a_phone_scrolls_down_and_never_sideways(full: Stand, page: Page, view: str) -> None:
    await page.look(width=360, height=700)
    await signed_in(page, full) if view in FOR_OPERATORS else None
    await page.go(f"{full.url}/{view}")
    await page.until("document.querySelector('main').innerText.length > 20 && !document.querySelector('.loading')")

    wide = """[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1
        && !e.closest(".scroll") && e.checkVisibility()).map((e) => e.outerHTML.slice(0, 120))"""
    assert await page.ask("document.documentElement.scrollWidth - innerWidth") <= 0, await page.ask(wide)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
async def test_no_view_has_a_barrier(full: Stand, page: Page, view: str, scheme: str) -> None:
    """axe-core finds nothing, contrast included."""
    if not AXE.is_file():
        absent("axe-core is not here; with npm: make test")
    await page.look(scheme=scheme)
    await signed_in(page, full) if view in FOR_OPERATORS else None
    await page.go(f"{full.url}/{view}")
    await page.until("document.querySelector('main').innerText.length > 20 && !document.querySelector('.loading')")

    await page.ask(AXE.read_text())
    found = await page.ask("axe.run().then(({ violations }) => violations)")

    assert [(one["id"], [node["html"][:150] for node in one["nodes"]]) for one in found] == []
