"""What a person sees and does on the console, in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.browser.signing_in import asked_who, say_ann, signed_in
from tests.browser.stand import STUCK, TOKEN, WAITING, Stand, stand

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_since_and_until_of_a_stuck_saga_are_two_clicks_away(full: Stand, page: Page) -> None:
    """From the first page, without typing; also of one that is not among the oldest."""
    given = "stuck-14"
    await page.go(f"{full.url}/")

    await page.click("All of them (these are the oldest 6)")
    await page.click(given)

    await page.shows("Why it is waiting")
    told = await page.text(".why-waiting")
    wait = (await page.ask(f"fetch('/api/v1/sagas/{given}').then((answer) => answer.json())"))["waitingFor"]
    assert wait["who"] == "payment"
    assert f"{wait['who']} {wait['step']}" in told
    for name in ("since", "until"):
        assert wait[name][11:19] in told


async def test_what_fails_for_a_saga_is_told_and_no_longer_once_it_is_over(page: Page, tmp_path: Path) -> None:
    """No news comes of an attempt: the page looks again when the next one should be over."""
    async with stand(tmp_path) as shop:
        await shop.tell("held-up", *WAITING)
        await shop.fail("payment", "held-up", "charge", "PaymentUnknown: no answer", failed=3, again_in_s=2)
        await page.go(f"{shop.url}/#/saga/held-up")
        await page.shows("What fails and is tried again")

        told = await page.text("section:has(#failing)")
        await shop.succeed("payment", "held-up")

        await page.until("!document.querySelector('#failing')")
    for part in ("charge", "payment", "PaymentUnknown: no answer", "3 times"):
        assert part in told


async def test_an_address_that_was_cut_off_shows_that_there_is_nothing(full: Stand, page: Page) -> None:
    await page.go(f"{full.url}/#/saga/stuck-%E0%A4%A")

    await page.shows("stuck-%E0%A4%A")


async def test_the_first_page_tells_who_since_and_until_of_what_is_stuck(full: Stand, page: Page) -> None:
    await page.go(f"{full.url}/")

    await page.shows("stuck-00")

    card = await page.text(".card.stuck:has([title=stuck-00])")
    assert "Needs attention" in card
    assert "payment charge payment" in card
    assert "Since" in card
    assert "Until" in card


@pytest.mark.parametrize(
    ("view", "empty"),
    [
        ("#/", "Nothing needs attention."),
        ("#/sagas?stuck=true", "No saga fits this filter."),
        ("#/sagas?olderThan=60", "No saga fits this filter."),
    ],
)
async def test_what_becomes_late_while_nobody_looks_at_deadlines_is_shown(
    page: Page, tmp_path: Path, view: str, empty: str
) -> None:
    """No news comes of it, for the coordinator that would notice is not at work."""
    async with stand(tmp_path) as shop:
        await page.go(f"{shop.url}/{view}")
        await page.shows(empty)

        await shop.tell("soon-late", *WAITING, begun_s_ago=57)

        await page.shows(empty)
        await page.until("document.querySelector('[title=soon-late]')", within_s=15)


@pytest.mark.parametrize(
    ("days", "view", "sagas"), [(8, "#/", ".card.stuck a.id"), (9, "#/sagas?stuck=true", ".sagas tbody a.id")]
)
async def test_what_began_first_of_all_that_is_stuck_comes_first(
    full: Stand, page: Page, days: int, view: str, sagas: str
) -> None:
    """Also what gets stuck while one looks: it stands at its place."""
    ids = f"[...document.querySelectorAll('{sagas}')].map((e) => e.title)"
    await page.go(f"{full.url}/{view}")
    await page.until(f"{ids}.length >= 6")

    saga = await full.tell(f"stuck-for-{days}-days", *STUCK, begun_s_ago=86_400 * days)

    await page.until(f"{ids}.includes('{saga}')")
    begun = await page.ask(f"""Promise.all({ids}.map((id) => fetch(`/api/v1/sagas/${{id}}`)
        .then((answer) => answer.json()).then((saga) => saga.startedAt)))""")
    assert begun == sorted(begun)


async def test_the_first_page_says_so_where_not_all_were_looked_through(full: Stand, page: Page) -> None:
    await page.go(f"{full.url}/#/map")
    await page.settled()
    await page.ask("""(() => {
        const asked = fetch;
        window.fetch = (url, options) => (String(url).includes("stuck")
            ? Promise.resolve(Response.json({ sagas: [], next: "further" })) : asked(url, options));
    })()""")

    await page.click("Overview")

    await page.shows("None of the oldest needs attention.")
    await page.click("Look further")
    await page.until("location.hash === '#/sagas?stuck=true&cursor=further'")


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


async def test_what_may_have_been_done_is_not_said_to_be_undone(full: Stand, page: Page) -> None:
    """The answer to an action is lost on its way: only the saga itself tells what became of it."""
    await full.tell("acted-on-blindly", *STUCK, begun_s_ago=500)
    await signed_in(page, full)
    await page.go(f"{full.url}/#/saga/acted-on-blindly")
    await page.ask("""
        window.answered = window.fetch;
        window.fetch = async (address, options) => {
          const answer = await answered(address, options);
          if (options?.method === "POST") throw new TypeError("the connection broke");
          return answer;
        };
    """)

    await page.click("Abort")
    await page.until("document.querySelector('dialog[open]')")
    await page.type("input[name=reason]", "written off")
    await page.click("Abort", "dialog button")

    await page.until("document.querySelector('dialog .trouble')")
    assert (await page.ask("fetch('api/v1/sagas/acted-on-blindly').then((one) => one.json())"))["status"] == "Aborted"
    assert "It was not done" not in await page.text("dialog")
    assert "Look before you do it again" in await page.text("dialog")


async def test_who_does_not_know_the_token_is_nobody(full: Stand, page: Page) -> None:
    await page.go(f"{full.url}/")

    await asked_who(page)
    await say_ann(page, "not the token")

    await page.shows("that is not the OPERATOR_TOKEN")
    await page.click("Cancel")
    await page.shows("Operator sign-in")


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


async def test_what_is_edited_of_a_letter_changes_nothing_else_of_it(full: Stand, page: Page) -> None:
    """Numbers can be longer than JavaScript's: ids of other systems mostly are."""
    data = '{"orderId":"order-8","reason":"the card is declined","trace":[9007199254740993123,{"of":1.0},{},[]]}'
    await full.bury("notification", "NotSent: an odd letter", {"id": "odd", "type": "PaymentFailed", "data": data})
    await signed_in(page, full)
    await page.go(f"{full.url}/#/letters")
    await page.ask("""
        window.answered = window.fetch;
        window.fetch = (address, options) => {
          window.sent = options?.body ?? window.sent;
          return answered(address, options);
        };
    """)

    await page.click_on(".letters .card:first-child details summary")
    await page.shows("9007199254740993123")
    await page.click_on(".letters .card:first-child .buttons button:nth-child(2)")
    await page.until("document.querySelector('dialog[open] textarea')")
    shown = await page.ask("document.querySelector('textarea').value")
    await page.type("textarea", shown.replace("is declined", "is declined today"))
    await page.type("input[name=reason]", "one word was missing")
    await page.click("Replay it")
    await page.until("window.sent")

    assert json.loads(shown) == json.loads(data)
    assert json.loads(await page.ask("sent"))["data"] == json.loads(data.replace("is declined", "is declined today"))
    assert shown.splitlines()[:2] == ["{", '  "orderId": "order-8",']


async def test_a_letter_is_masked_until_it_is_asked_for_and_edited_as_it_was_sent(full: Stand, page: Page) -> None:
    """What is replayed is what was sent but for what was edited, whatever was shown."""
    sent = {"orderId": "order-9", "reason": "4111 1111 1111 1111 of ann@example.org is declined"}
    about = {"id": "declined", "type": "PaymentFailed", "source": "payment", "correlationid": "stuck-09"}
    always = {"specversion": "1.0", "time": "2026-01-31T12:00:00.000Z", "definition": "order", "definitionversion": "1"}
    await full.bury("notification", "NotSent: try later", {**about, **always, "data": json.dumps(sent)})
    await signed_in(page, full)
    await page.go(f"{full.url}/#/letters")

    await page.click("The whole message", "summary")
    await page.shows("*** of *** is declined")
    await page.click("Edit and replay")
    await page.until("document.querySelector('dialog[open] textarea')")
    assert json.loads(await page.ask("document.querySelector('textarea').value")) == sent
    assert "ann@" not in await page.text(".letters dl")
    assert await page.text(".letters .badge") == "Needs attention"
    await page.type("textarea", json.dumps({**sent, "reason": f"{sent['reason']} today"}))
    await page.type("input[name=reason]", "one word was missing")
    await page.click("Replay it")
    await page.until("!document.querySelector('dialog')")

    await page.go(f"{full.url}/?anew#/letters?fate=replayed")
    await page.click("The whole message", "summary")
    await page.shows("*** of *** is declined today")
    assert "ann@" not in await page.ask("document.body.textContent")
    await page.click("as it was sent")
    await page.shows(f"{sent['reason']} today")
