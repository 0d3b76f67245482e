"""Whatever services, customers, operators and addresses say is shown as text; nothing that is injected runs."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from sagastream.saga.progress import Kind
from tests.browser.page import Page
from tests.browser.signing_in import signed_in
from tests.browser.stand import CHARGE, CONFIRM, STOCK, Stand

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "</td><img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
START = HOSTILE[:60]


async def is_text(page: Page) -> None:
    """Wait until the words are shown as they are, and see that they became nothing else."""
    await page.shows(START)
    assert await page.ask("document.querySelectorAll('main img, main script, dialog img, dialog script').length") == 0
    assert await page.ask("document.title !== 'taken' && !document.title.startsWith('taken')")


async def test_what_events_say_is_text_and_nothing_else(full: Stand, page: Page) -> None:
    """In the list, on the first page and in the saga itself, whatever a service put into its reasons."""
    told = (STOCK, Kind.DONE), (CHARGE, Kind.OVERDUE, HOSTILE), (CONFIRM, Kind.BARRED), (CHARGE, Kind.LOST, HOSTILE)
    await full.tell(
        "hostile", *((n / 10, *one) for n, one in enumerate(told)), begun_s_ago=10**6, initiator=HOSTILE[:60]
    )
    await full.tell("aborted-by-a-joker", (0.1, STOCK, Kind.DONE))
    await full.operate("sagas/aborted-by-a-joker/abort", reason=HOSTILE)

    views = (
        "#/",
        "#/sagas?id=hostile",
        "#/saga/hostile",
        "#/saga/aborted-by-a-joker",
        f"#/saga/{quote(HOSTILE, safe='')}",
    )
    for number, view in enumerate(views):
        await page.go(f"{full.url}/?{number}{view}")
        await is_text(page)


async def test_what_operators_see_of_messages_is_text_and_nothing_else(full: Stand, page: Page) -> None:
    """A letter's type, reason and every field, in its dialog too; a repair's reason; who reads a stream."""
    fields = {"type": START, "data": f'{{"note": "{quote(HOSTILE)}"}}', "source": HOSTILE, "correlationid": HOSTILE}
    await full.bury("stock", HOSTILE, fields)
    filter_ = {"status": "NeedsAttention", "id": "nobody-is-called-so"}
    await full.operate("repairs", action="retry", reason=HOSTILE, filter=filter_, atMost=1, perSecond=1)
    await full.read_requests("stock", HOSTILE, 1)
    await signed_in(page, full)

    await page.go(f"{full.url}/#/letters")
    await is_text(page)
    await page.click("The whole message", "summary")
    await page.until("document.querySelector('.letters .fields')")
    await is_text(page)
    await page.click("Edit and replay")
    await page.until("document.querySelector('dialog[open]')")
    await is_text(page)
    await page.click("Cancel")
    for view in ("#/repairs", "#/streams"):
        await page.go(f"{full.url}/{view}")
        await is_text(page)


async def test_no_injected_script_runs_and_nothing_is_fetched_from_elsewhere(full: Stand, page: Page) -> None:
    """Even where a tag found its way in: the page's policy forbids it."""
    await page.go(f"{full.url}/#/")
    await page.settled()
    await page.ask("""
        window.kinds = [];
        document.addEventListener("securitypolicyviolation", (event) => kinds.push(event.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        const foreign = document.createElement("script");
        foreign.src = "http://127.0.0.2/taken.js";
        document.body.append(foreign);
        document.body.insertAdjacentHTML("beforeend", '<img src="http://127.0.0.2/x.png" onerror="window.ran = true">');
        document.body.insertAdjacentHTML("beforeend", '<p style="color: red">styled</p>');
    """)

    await page.until("kinds.length >= 5")

    forbidden = {"script-src-elem", "script-src-attr", "img-src", "style-src-attr"}
    assert set(await page.ask("kinds")) == forbidden
    assert await page.ask("window.ran === undefined")
    assert all(url.startswith((full.url, "data:", "about:")) for url in page.requests if "127.0.0.2" not in url)
    page.faults.clear()  # each attempt is reported
