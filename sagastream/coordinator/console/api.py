"""The routes of the console: the page, its files, and what it must know beforehand. Speaks HTTP; decides nothing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import RedirectResponse
from pydantic import ConfigDict, Field, JsonValue

from sagastream.answers import Answer
from sagastream.coordinator import examples
from sagastream.coordinator.console.assets import PAGE, Asset, read_assets
from sagastream.coordinator.console.trial import Trial
from sagastream.documented import problems
from sagastream.problems import Problem
from sagastream.version import VERSION

# Whatever an event's text is made to look like, nothing of it runs; nothing is loaded from, or sent, elsewhere.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
IfNoneMatch = Annotated[str | None, Header()]


class RecipeView(Answer):
    """One request that can be tried."""

    name: str
    told: str
    body: dict[str, JsonValue]


class TrialView(Answer):
    """What can be tried: bodies to be posted to ``path``."""

    title: str
    path: str
    recipes: list[RecipeView]


class ConsoleView(Answer):
    """What the page must know beforehand."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CONSOLE]})

    version: str
    trial: TrialView | None = Field(description="null where nothing can be tried")


def console_routes(trial: Trial | None = None) -> APIRouter:
    """Return the routes of the console; ``trial`` is what people may try on it."""
    assets = read_assets()
    told = ConsoleView(version=VERSION, trial=_trial(trial) if trial is not None else None)
    router = APIRouter(tags=["console"])

    @router.get("/", include_in_schema=False)
    async def page(if_none_match: IfNoneMatch = None) -> Response:
        return _sent(assets[PAGE], if_none_match)

    @router.get("/console/{path:path}", include_in_schema=False)
    async def file(path: str, if_none_match: IfNoneMatch = None) -> Response:
        if not path:
            return RedirectResponse("../")  # to the page, which needs its own address for what it loads
        asset = assets.get(path)
        if asset is None:
            raise Problem(404, f"the console has no file {path[:100]!r}")
        return _sent(asset, if_none_match)

    @router.get("/api/v1/console", operation_id="showConsole", responses=problems({}))
    async def show() -> ConsoleView:
        """Show what the console offers here."""
        return told

    return router


def _sent(asset: Asset, known: str | None) -> Response:
    headers = {**HEADERS, "ETag": asset.tag}
    if known is not None and _names(known, asset.tag):
        return Response(None, 304, headers)
    return Response(asset.body, 200, headers, asset.media_type)


def _names(known: str, tag: str) -> bool:
    """Tell whether a list of tags has this one, which a gateway that compresses made weak (RFC 9110, 13.1.2)."""
    tags = [each.strip() for each in known.split(",")]
    return tags == ["*"] or tag in [each.removeprefix("W/") for each in tags]


def _trial(trial: Trial) -> TrialView:
    recipes = [RecipeView(name=one.name, told=one.told, body=dict(one.body)) for one in trial.recipes]
    return TrialView(title=trial.title, path=trial.path, recipes=recipes)
