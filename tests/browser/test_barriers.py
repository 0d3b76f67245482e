"""Nothing on the console keeps anybody out: read aloud, by keyboard, in either scheme, without motion, on a phone."""

from __future__ import annotations

import pytest

from tests.browser.page import Page
from tests.browser.signing_in import asked_who, say_ann, signed_in
from tests.browser.stand import STUCK, TOKEN, Stand
from tests.browser.vendoring import PACKAGES
from tests.needs import absent

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = PACKAGES / "axe-core" / "axe.min.js"
ENDED = ("completed-1", "compensated-1", "failed-1", "aborted-1")
GOING_ON = ("started-1", "waiting-1", "compensating-1", "stuck-03")
VIEWS = (
    "#/", "#/sagas", "#/sagas?stuck=true", "#/sagas?id=nobody", *(f"#/saga/{saga}" for saga in ENDED + GOING_ON),
    "#/saga/nobody", "#/saga/no one", "#/streams", "#/map", "#/try",
)  # fmt: skip
# What only operators see, and what is opened there by clicking on it.
FOR_OPERATORS = (("#/letters", "The whole message"), ("#/repairs",), ("#/saga/stuck-03",))
DIALOGS = (
    ("#/letters", "Replay", "Edit and replay", "Drop"),
    ("#/repairs", "Stop"),
    ("#/saga/stuck-03", "Ask again", "Turn back", "State what happened", "Abort"),
    ("#/try", "Look at the request"),
)
SIDEWAYS = """[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1
    && !e.closest(".scroll") && e.checkVisibility()).map((e) => e.outerHTML.slice(0, 120))"""
# Every rule there is, those that are off unless asked for too, but twice the contrast that WCAG asks for at level AA.
RULES = """Object.fromEntries(axe.getRules().map((rule) => [rule.ruleId,
    { enabled: rule.ruleId !== "color-contrast-enhanced" }]))"""


async def holds_for_everybody(page: Page) -> None:
    """Hold what is shown against all of axe-core in both schemes, and against the width of a phone."""
    await page.look(width=360, height=700)
    assert await page.ask("document.documentElement.scrollWidth - innerWidth") <= 0, await page.ask(SIDEWAYS)
    if not AXE.is_file():
        absent("axe-core is not here; with npm: make test")
    if await page.ask("!window.axe"):
        await page.ask(AXE.read_text())
    for width, scheme in ((360, "light"), (360, "dark"), (1280, "dark")):  # tables have heads on wide screens only
        await page.look(width=width, height=700, scheme=scheme)
        assert await violations(page) == [], f"{scheme}, {width} pixels wide"


async def violations(page: Page) -> list[object]:
    """Return what axe-core finds, the first words of each element beside it."""
    found = await page.ask(
        f"axe.run({{resultTypes: ['violations'], rules: {RULES}}}).then(({{violations}}) => violations.map((one) =>"
        " [one.id, one.nodes.map((node) => node.html.slice(0, 150))]))"
    )
    return list(found)


@pytest.mark.parametrize("view", VIEWS)
async def test_no_view_has_a_barrier(full: Stand, page: Page, view: str) -> None:
    await page.go(f"{full.url}/{view}")
    await page.settled()

    await holds_for_everybody(page)


@pytest.mark.parametrize("way", FOR_OPERATORS, ids=" ".join)
async def test_nothing_that_only_operators_see_has_a_barrier(full: Stand, page: Page, way: tuple[str, ...]) -> None:
    """Payloads laid out."""
    view, *clicks = way
    await signed_in(page, full)
    await page.go(f"{full.url}/{view}")
    await page.settled()

    for words in clicks:
        await page.click(words)
        await page.until("document.querySelector('.fields')")

    await holds_for_everybody(page)


@pytest.mark.parametrize("way", DIALOGS, ids=" ".join)
async def test_no_dialog_has_a_barrier(full: Stand, page: Page, way: tuple[str, ...]) -> None:
    view, *dialogs = way
    await signed_in(page, full)
    await page.go(f"{full.url}/{view}")
    await page.settled()

    for words in dialogs:
        await page.click(words)
        await page.until("document.querySelector('dialog[open]')")
        await holds_for_everybody(page)
        await page.click("Cancel")
        await page.until("!document.querySelector('dialog')")


async def test_no_dialog_that_says_what_is_wrong_has_a_barrier(full: Stand, page: Page) -> None:
    """Who is nobody, and what is no JSON."""
    await page.go(f"{full.url}/#/letters")
    await asked_who(page)
    await holds_for_everybody(page)
    await say_ann(page, "a guess")
    await page.shows("You are not signed in.")
    await holds_for_everybody(page)
    await say_ann(page, TOKEN)

    await page.click("Edit and replay")
    await page.until("document.querySelector('dialog[open] textarea')")
    await page.type("textarea", "{")
    await page.type("input[name=reason]", "the address was wrong")
    await page.click("Replay it")
    await page.shows("It was not done.")

    await holds_for_everybody(page)


async def test_no_repair_of_many_has_a_barrier(full: Stand, page: Page) -> None:
    """Asked for, and looked at before it is begun."""
    await signed_in(page, full)
    await page.go(f"{full.url}/#/sagas?stuck=true")
    await page.settled()

    await page.click("Repair many…")
    await page.until("document.querySelector('dialog[open]')")
    await holds_for_everybody(page)
    await page.type("input[name=reason]", "the provider is reachable again")
    await page.click("Show what it would do")
    await page.until("document.querySelectorAll('dialog[open] li').length > 1")

    await holds_for_everybody(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_a_field_suggests_can_be_read(full: Stand, page: Page, scheme: str) -> None:
    """It has the colour of labels, whose contrast axe-core looks at; at suggestions it does not."""
    await page.look(scheme=scheme)
    await page.go(f"{full.url}/#/sagas")
    await page.settled()

    suggested, labelled = await page.ask("""(() => {
        const field = document.querySelector("[placeholder]");
        return [getComputedStyle(field, "::placeholder"), getComputedStyle(field.closest("label"))]
            .map(({ color, opacity }) => [color, opacity]);
    })()""")

    assert suggested == labelled


async def tab_to(page: Page, words: str, most: int = 80) -> None:
    """Press the tabulator until the focus is on what says just these words, and is seen to be there."""
    for _ in range(most):
        await page.press("Tab", 9)
        said, is_marked = await page.ask("""(() => {
            const at = document.activeElement;
            const { outlineStyle, outlineWidth } = getComputedStyle(at);
            const label = at.labels?.[0]?.innerText ?? at.getAttribute("aria-label") ?? at.innerText ?? "";
            return [label.trim(), at === document.body || (outlineStyle !== "none" && outlineWidth !== "0px")];
        })()""")
        assert is_marked, f"nobody sees that the focus is on {said!r}"
        if said == words:
            return
    raise AssertionError(f"the tabulator never leads to {words!r}")


async def test_everything_can_be_done_with_the_keyboard_alone(full: Stand, page: Page) -> None:
    """From the first page to a stuck saga, signed in, an action asked for, called off, and back where one was."""
    saga = await full.tell("by-keyboard", *STUCK)
    await page.go(f"{full.url}/#/sagas?id=by-keyboard")
    await page.settled()
    await page.shows(saga)

    await tab_to(page, saga)
    await page.press("Enter", 13)
    await page.shows("Why it is waiting")
    await tab_to(page, "Ask again")
    await page.press("Enter", 13)
    await page.until("document.activeElement.name === 'name'")
    await page.send("Input.insertText", text="ann")
    await page.press("Tab", 9)
    await page.send("Input.insertText", text=TOKEN)
    await page.press("Enter", 13)
    await page.until("document.activeElement.name === 'reason'")
    await page.press("Escape", 27)

    await page.until("!document.querySelector('dialog') && document.activeElement.innerText === 'Ask again'")
    await page.press("Enter", 13)
    await page.until("document.activeElement.name === 'reason'")
    await page.send("Input.insertText", text="the bank is open again")
    await page.press("Enter", 13)
    await page.shows("ann: the bank is open again")


async def test_the_first_tabulator_leads_past_the_navigation(full: Stand, page: Page) -> None:
    await page.go(f"{full.url}/#/sagas")
    await page.settled()

    await tab_to(page, "Skip to content", most=1)
    await page.press("Enter", 13)

    assert await page.ask("document.activeElement.id") == "main"


@pytest.mark.parametrize("view", ["#/", "#/saga/waiting-1"])
async def test_nothing_moves_for_who_wants_no_motion(full: Stand, page: Page, view: str) -> None:
    """Also if a style should ever move something: every transition and animation is off."""
    await page.look(motion="reduce")
    await page.go(f"{full.url}/{view}")
    await page.settled()
    await page.ask("""(() => {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(`* { transition: all 1s; animation: spin 1s infinite }
            @keyframes spin { to { rotate: 1turn } }`);
        document.adoptedStyleSheets = [sheet];
    })()""")

    assert await page.ask("document.getAnimations().length") == 0
    assert (
        await page.ask("""[...document.querySelectorAll("*")].filter((e) => {
        const { transitionDuration, animationName, scrollBehavior } = getComputedStyle(e);
        return transitionDuration !== "0s" || animationName !== "none" || scrollBehavior === "smooth";
    }).length""")
        == 0
    )
