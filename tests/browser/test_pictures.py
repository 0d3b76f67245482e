"""The pictures in docs/pictures can be taken, and show what they are called by. `make screenshots` takes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.browser.stand import WAITING, Stand

MOST_BYTES = 150_000
PICTURES = {
    "overview": ("#/", "Oldest unfinished"),
    "completed": ("#/saga/completed-1", "Completed"),
    "compensated": ("#/saga/compensated-1", "Compensated"),
    "waiting": ("#/saga/a-moment-ago", "Why it is waiting"),
    "needs-attention": ("#/saga/stuck-14", "What keeps it from ending"),
}
HERE = Path(__file__).parents[2] / "docs" / "pictures"


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", PICTURES)
async def test_a_picture_shows_what_it_is_called_by(full: Stand, page: Page, name: str, tmp_path: Path) -> None:
    view, words = PICTURES[name]
    await full.tell("a-moment-ago", *WAITING, begun_s_ago=21, initiator="customer-4") if name == "waiting" else None
    file = (HERE if os.environ.get("SCREENSHOTS") else tmp_path) / f"{name}.png"

    await page.look(width=1120, height=720)
    await page.go(f"{full.url}/{view}")
    await page.settled()
    await page.shows(words)
    await page.until("document.querySelector('.connection').innerText === 'Live'")
    await page.picture(file)

    taken = file.read_bytes()
    assert taken[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(taken[16:20]), int.from_bytes(taken[20:24])) == (1120, 720)
    assert len(taken) < MOST_BYTES


def test_every_picture_is_in_the_documents() -> None:
    text = (HERE.parent / "console.md").read_text()

    assert {file.stem for file in HERE.glob("*.png")} == set(PICTURES)
    assert all(f"pictures/{name}.png" in text for name in PICTURES)
    assert all(file.stat().st_size < MOST_BYTES for file in HERE.iterdir())
