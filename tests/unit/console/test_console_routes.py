"""The console is served whole by the coordinator, loads nothing from elsewhere and lets nothing foreign run."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import PurePosixPath

import httpx
import pytest
from fastapi import FastAPI

from coordinator.trial import TRIAL
from money import Currency
from order_service.requests import read_order
from sagastream.coordinator.console.api import console_routes
from sagastream.coordinator.console.assets import PAGE, read_assets
from sagastream.coordinator.console.trial import Recipe, Trial
from sagastream.coordinator.definition_api import definition_routes
from sagastream.front import create_front
from sagastream.service import bare_app
from tests.trip import TRIP

ASSETS = read_assets()
_IMPORTED = re.compile(r'(?<!")(?:\bfrom\s*|\bimport\s*)"([^"]+)"')
_LINKED = re.compile(r'(?:href|src)="([^"]+)"')
_ELSEWHERE = re.compile(r"""(?:https?:)?//[\w-]+\.[\w.-]+[^\s"'`)]*""")
_NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml", "http://www.w3.org/1998/Math/MathML"}


@asynccontextmanager
async def client(trial: Trial | None = None, *, is_open: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    def lifespan(_: FastAPI) -> nullcontext[None]:
        return nullcontext()

    app = bare_app("coordinator", lifespan, is_open=lambda: is_open, always=())
    app.include_router(definition_routes([TRIP]))
    app.include_router(console_routes(trial))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://coordinator") as asked:
        yield asked


def needed(path: str) -> Iterator[str]:
    """Yield every file that a file of the console loads."""
    text = ASSETS[path].body.decode()
    if path.endswith(".html"):
        for link in _LINKED.findall(text):
            yield link.removeprefix("console/")
    if path.endswith(".js"):
        for name in _IMPORTED.findall(text):
            assert name.startswith(("./", "../")), f"{path} imports {name}, which no browser finds"
            yield str(PurePosixPath(path).parent / name)


async def test_the_page_forbids_whatever_it_does_not_need() -> None:
    """No inline script or style, nothing from or to elsewhere, no frame around it."""
    async with client() as asked:
        page = await asked.get("/")
        script = await asked.get("/console/app.js")

    for answer in (page, script):
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
        assert (policy["base-uri"], policy["frame-ancestors"]) == ("'none'", "'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page.text) == []


@pytest.mark.parametrize("path", sorted(ASSETS))
def test_a_file_loads_only_files_that_are_shipped_with_it(path: str) -> None:
    assert set(needed(path)) <= ASSETS.keys()
    if not path.startswith("vendor/LICENSE"):
        assert set(_ELSEWHERE.findall(ASSETS[path].body.decode())) <= _NAMESPACES
        assert b"sourceMappingURL" not in ASSETS[path].body


def test_no_file_is_shipped_that_nothing_loads() -> None:
    reached, left = {PAGE}, [PAGE]
    while left:
        fresh = set(needed(left.pop())) - reached
        reached |= fresh
        left += fresh

    others = {path for path in ASSETS if not path.startswith("vendor/LICENSE")} - reached
    assert others == {"vendor/versions.json"}


async def test_a_file_is_sent_again_only_when_it_has_changed() -> None:
    async with client() as asked:
        first = await asked.get("/console/console.css")
        again = await asked.get("/console/console.css", headers={"If-None-Match": first.headers["etag"]})
        other = await asked.get("/console/console.css", headers={"If-None-Match": '"of an older release"'})

    assert (first.status_code, again.status_code, other.status_code) == (200, 304, 200)
    assert again.content == b""
    assert first.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ("W/{tag}", 304),
        ('"older", {tag}', 304),
        ('"older",W/{tag}', 304),
        ("*", 304),
        ('"older", "oldest"', 200),
        ("", 200),
    ],
)
async def test_a_file_is_known_among_others_and_when_it_was_compressed_on_the_way(known: str, status: int) -> None:
    """A gateway that compresses makes a tag a weak one, and browsers send it so."""
    async with client() as asked:
        tag = (await asked.get("/console/console.css")).headers["etag"]
        again = await asked.get("/console/console.css", headers={"If-None-Match": known.format(tag=tag)})

    assert again.status_code == status


@pytest.mark.parametrize("path", ["nothing.js", "../api.py", "..%2fapi.py", "vendor"])
async def test_there_is_nothing_beside_the_files(path: str) -> None:
    async with client() as asked:
        answer = await asked.get(f"/console/{path}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("below", ["", "/services/coordinator"])
@pytest.mark.parametrize("path", ["/console", "/console/"])
async def test_who_looks_for_the_console_below_its_name_comes_to_its_page(path: str, below: str) -> None:
    """Also behind the front, which takes the name of the service off the address."""
    async with client() as asked:
        front = create_front([], {"coordinator": asked})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://front") as browser:
            answer = await (browser if below else asked).get(below + path, follow_redirects=True)

    assert (answer.status_code, answer.url.path) == (200, f"{below}/")
    assert answer.content == ASSETS[PAGE].body


async def test_the_console_comes_up_before_the_store_does() -> None:
    async with client(is_open=False) as asked:
        answers = [(await asked.get(path)).status_code for path in ("/", "/console/app.js", "/api/v1/console")]

    assert answers == [200, 200, 503]


async def test_what_can_be_tried_is_told_as_data() -> None:
    trial = Trial("Book a trip", "/api/trips", (Recipe("All goes well", "Completed", {"nights": 2}),))
    async with client(trial) as asked, client() as without:
        told = (await asked.get("/api/v1/console")).json()
        nothing = (await without.get("/api/v1/console")).json()

    assert told["trial"] == {
        "title": "Book a trip",
        "path": "/api/trips",
        "recipes": [{"name": "All goes well", "told": "Completed", "body": {"nights": 2}}],
    }
    assert nothing["trial"] is None


@pytest.mark.parametrize("recipe", TRIAL.recipes, ids=lambda recipe: recipe.name)
def test_every_order_that_can_be_tried_is_accepted(recipe: Recipe) -> None:
    body = httpx.Request("POST", "http://shop", json=dict(recipe.body)).content

    assert read_order(body, Currency("EUR", 2), 5).items


async def test_a_table_is_told_with_its_steps_events_and_deadlines() -> None:
    async with client() as asked:
        (table,) = (await asked.get("/api/v1/definitions")).json()

    assert (table["businessProcess"], table["version"], table["begunBy"]) == ("trip", 1, TRIP.begun_by)
    assert (table["beginsWith"], table["cancelledBy"]) == ("TripBooked", "TripCancelled")
    room = table["steps"][0]
    assert (room["name"], room["service"], room["done"]) == ("hold room", "hotel", "RoomHeld")
    assert (room["refused"], room["undone"], room["pivot"]) == ("NoRoomLeft", "RoomGivenBack", False)
    assert [step["pivot"] for step in table["steps"]].count(True) == 1
    assert all(step["withinMs"] > 0 for step in table["steps"])
