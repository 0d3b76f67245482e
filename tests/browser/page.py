"""One page of a browser, used as a person uses it: by what it shows. Every fault it reports is kept."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.browser.chromium import Chromium, Refused, Told
from tests.processes.until import until

# What a person could click on under these words: the smallest visible thing that says just them.
_FIND = """(words, within) => {
  const said = (e) => (e.getAttribute("aria-label") ?? e.innerText ?? e.value ?? "").trim();
  return [...document.querySelectorAll(within)].find((e) => e.checkVisibility() && said(e) === words);
}"""
_CLICKABLE = "a, button, summary, label, [role=button], option"


class Page:
    """A page; ``faults`` are the exceptions and violations it had so far."""

    def __init__(self, browser: Chromium, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session
        self.faults: list[str] = []
        self.requests: list[str] = []
        browser.listen(session, self._heard)

    async def send(self, method: str, **params: object) -> Told:
        """Have something done on this page."""
        return await self._browser.send(method, self._session, **params)

    async def go(self, url: str) -> None:
        """Open an address."""
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def ask(self, expression: str) -> Any:  # noqa: ANN401  # whatever JavaScript knows
        """Return what a JavaScript expression comes to, promises awaited."""
        told = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise Refused(json.dumps(told["exceptionDetails"].get("exception", told["exceptionDetails"]))[:600])
        return told["result"].get("value")

    async def reach(self, url: str) -> None:
        """Open an address as soon as somebody answers there."""

        async def asked() -> bool:
            return "errorText" not in await self.send("Page.navigate", url=url)

        await until(asked, f"an answer at {url}", every_s=0.1)
        await self.until("document.readyState === 'complete'")

    async def settled(self) -> None:
        """Wait until a view has loaded what it shows."""
        await self.until("document.querySelector('main').innerText.length > 20 && !document.querySelector('.loading')")

    async def until(self, expression: str, within_s: float = 10) -> None:
        """Wait until an expression is true."""

        async def asked() -> object:
            try:
                return await self.ask(f"Boolean({expression})")
            except Refused as error:  # the page is being replaced
                if "context" not in str(error):
                    raise
                return None

        try:
            await until(asked, f"the page: {expression}", within_s)
        except AssertionError as error:
            shown = await self.ask("document.body.innerText")
            raise AssertionError(f"{error}\nfaults: {self.faults}\nit shows:\n{str(shown)[:3000]}") from None

    async def text(self, selector: str = "body") -> str:
        """Return the text that is shown."""
        return str(await self.ask(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    async def shows(self, words: str) -> None:
        """Wait until words are shown."""
        await self.until(f"document.body.innerText.includes({json.dumps(words)})")

    async def click(self, words: str, within: str = _CLICKABLE) -> None:
        """Click, with the mouse, on what says just these words."""
        find = f"({_FIND})({json.dumps(words)}, {json.dumps(within)})"
        await self._click(find)

    async def click_on(self, selector: str) -> None:
        """Click, with the mouse, on the first thing that fits a selector."""
        await self._click(f"document.querySelector({json.dumps(selector)})")

    async def _click(self, find: str) -> None:
        await self.until(f"Boolean({find})")
        await self.ask(f"{find}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = await self.ask(
            f"(() => {{const b = {find}.getClientRects()[0]; return [b.x+b.width/2, b.y+b.height/2]}})()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def type(self, selector: str, text: str) -> None:
        """Replace what stands in a field by typing."""
        await self.ask(f"(() => {{const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select()}})()")
        await self.send("Input.insertText", text=text)

    async def press(self, key: str, code: int) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, code=key, **text)

    async def look(self, *, width: int = 1280, height: int = 900, scheme: str = "light", motion: str = "") -> None:
        """Change the screen, and what its owner prefers."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        await self.send("Emulation.setEmulatedMedia", features=features)

    async def picture(self, file: Path) -> None:
        """Take a picture of what is on the screen."""
        taken = await self.send("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(taken["data"]))

    async def hide(self, is_hidden: bool) -> None:
        """Put the page's window out of sight, or back."""
        window = (await self.send("Browser.getWindowForTarget"))["windowId"]
        state = "minimized" if is_hidden else "normal"
        await self.send("Browser.setWindowBounds", windowId=window, bounds={"windowState": state})
        await self.until(f"document.hidden === {json.dumps(is_hidden)}")

    def _heard(self, method: str, told: Told) -> None:
        match method:
            case "Runtime.exceptionThrown":
                details = told["exceptionDetails"]
                self.faults.append(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded" if told["entry"]["source"] in ("security", "violation", "javascript", "deprecation"):
                self.faults.append(f"{told['entry']['source']}: {told['entry']['text']}")
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning"):
                self.faults.append(" ".join(str(one.get("value", one.get("description"))) for one in told["args"]))
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])


@asynccontextmanager
async def opened(browser: Chromium) -> AsyncIterator[Page]:
    """Open an empty page for as long as the block runs."""
    context = (await browser.send("Target.createBrowserContext"))["browserContextId"]
    target = (await browser.send("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
    session = (await browser.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
    page = Page(browser, target, session)
    for domain in ("Page", "Runtime", "Log", "Network"):
        await page.send(f"{domain}.enable")
    await page.look()
    try:
        yield page
    finally:
        await browser.send("Target.disposeBrowserContext", browserContextId=context)
