"""The routes by which operators look at dead letters and deal with them. Speaks HTTP; decides nothing.

Letters hold what customers sent, so only operators may see them, and e-mail addresses and card numbers are masked
unless asked for: to mend a payload one must see it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from sagastream.admission import NOT_ADMITTED, Actor, Admission
from sagastream.bus import Bus
from sagastream.coordinator.api import OfSaga
from sagastream.coordinator.letter import Dealt, Letter
from sagastream.coordinator.letter_views import (
    DropRequest,
    LetterPage,
    LetterView,
    ReplayRequest,
    WholeLetterView,
    glance,
    masked_letter,
    place_of,
    whole,
)
from sagastream.coordinator.letters import CannotDeal, DeadLetters, Unfit
from sagastream.coordinator.message_api import Unmasked
from sagastream.coordinator.repair_api import actor
from sagastream.documented import problems
from sagastream.problems import Problem, invalid
from sagastream.saga.definition import Saga
from sagastream.settings import Settings

PREFIX = "/api/v1/dead-letters"
_OWNER = r"^[a-z][a-z0-9_-]{0,63}$"
_WHOSE = "whose; `saga` is the coordinator, `webhooks` who tells outsiders how sagas end"
Owner = Annotated[str, Path(pattern=_OWNER, examples=["stock"])]
LetterId = Annotated[str, Path(alias="letterId", pattern=r"^\d{1,15}-\d{1,10}$", examples=["1700000000000-0"])]
LetterCursor = Annotated[str, Field(pattern=r"^\d{1,15}-\d{1,10}\.[a-z][a-z0-9_-]{0,63}$")]
_NONE = {**NOT_ADMITTED, 404: "No such letter"}
_DEALT = {**_NONE, 409: "It was dealt with already, or this cannot be done with it"}


def letter_routes(sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> APIRouter:
    """Return the routes for the dead letters of every participant in these tables."""
    letters = DeadLetters(sagas, bus=bus, settings=settings)
    router = APIRouter(prefix=PREFIX, tags=["repair"], dependencies=[Depends(Admission(settings).operator)])

    async def known(owner: str, id: str) -> Letter:
        letter = await letters.find(owner, id) if owner in letters.owners else None
        if letter is None:
            raise Problem(404, f"{owner} has no letter {id}")
        return letter

    @router.get("", operation_id="listDeadLetters", responses=problems(NOT_ADMITTED))
    async def list_(
        owner: Annotated[str | None, Query(pattern=_OWNER, description=_WHOSE)] = None,
        saga_id: OfSaga = None,
        fate: Annotated[Dealt | None, Query(description="open unless told")] = Dealt.OPEN,
        cursor: Annotated[LetterCursor | None, Query(description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="how many at most")] = 50,
    ) -> LetterPage:
        """List messages that could not be handled, the newest first."""
        owners = [name for name in letters.owners if owner in (None, name)]
        found, following = await letters.page(owners, saga_id, fate, place_of(cursor), limit)
        return LetterPage(
            letters=[glance(masked_letter(letter)) for letter in found],
            next=f"{following.id}.{following.owner}" if following is not None else None,
        )

    @router.get("/{owner}/{letterId}", operation_id="showDeadLetter", responses=problems(_NONE))
    async def show(owner: Owner, letter_id: LetterId, unmasked: Unmasked = False) -> WholeLetterView:
        """Show a whole letter: the message, why it could not be handled, and what became of it."""
        letter = await known(owner, letter_id)
        return whole(letter if unmasked else masked_letter(letter))

    @router.post(
        "/{owner}/{letterId}/replay", operation_id="replayDeadLetter", responses=problems(_DEALT, takes_body=True)
    )
    async def replay(
        owner: Owner, letter_id: LetterId, asked: ReplayRequest, operator: Actor = None
    ) -> WholeLetterView:
        """Hand a letter to its owner again, with other data if given; the original is kept.

        Data that are masked in places where the letter is not are refused.
        """
        data = None if asked.data is None else json.dumps(asked.data)
        letter = await known(owner, letter_id)
        try:
            done = await letters.replay(letter, actor(asked.actor, operator), asked.reason, data)
        except CannotDeal as error:
            raise Problem(409, f"letter {letter_id} of {owner}: {error}") from None
        except Unfit as error:
            raise invalid(("data", str(error))) from None
        return whole(masked_letter(done))

    @router.post("/{owner}/{letterId}/drop", operation_id="dropDeadLetter", responses=problems(_DEALT, takes_body=True))
    async def drop(owner: Owner, letter_id: LetterId, asked: DropRequest, operator: Actor = None) -> LetterView:
        """Close a letter about which nothing is to be done; it stays readable."""
        letter = await known(owner, letter_id)
        try:
            done = await letters.drop(letter, actor(asked.actor, operator), asked.reason)
        except CannotDeal as error:
            raise Problem(409, f"letter {letter_id} of {owner}: {error}") from None
        return glance(masked_letter(done))

    return router
