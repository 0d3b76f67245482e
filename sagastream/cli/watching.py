"""The command `watch`: follows sagas live. Prints; changes nothing."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import AsyncIterator, Sequence

from sagastream.bus import Bus
from sagastream.cli.exits import DONE, ENDED_OTHERWISE
from sagastream.cli.followed import Change
from sagastream.cli.follower import Follower
from sagastream.cli.looking import no_such_saga, now_of
from sagastream.cli.screen import Screen
from sagastream.cli.sight import LONGEST_READ
from sagastream.coordinator.views import NoteView, StateView
from sagastream.drawing import Line, Part, Tone
from sagastream.saga.advance import ENDS
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.timeline import happening, in_order, rows, timeline


class HappeningView(NoteView):
    """One line of ``watch --json``: a note of a saga's history, with the saga's id."""

    saga_id: str
    business_process: str
    initiator_id: str | None
    status: Status


async def watch(words: Namespace, bus: Bus, prefix: str, sagas: Sequence[Saga]) -> int:
    """Follow one saga to its end, or all until interrupted."""
    follower = Follower(sagas, bus=bus, prefix=prefix, only=words.saga_id)
    await follower.open()
    screen = Screen()
    if words.saga_id is None:
        if screen.is_live and not words.json:
            screen.say(Line((Part("following every saga; Ctrl-C ends", Tone.FAINT),)))
        while True:
            for change in await follower.changes(LONGEST_READ):
                tell(screen, change, as_json=words.json)
    first = await follower.look(words.saga_id)
    if first is None:
        return await no_such_saga(words.saga_id, bus, prefix, sagas)
    if words.json:
        last = first.view
        async for change in _until_ended(follower, first):
            tell(screen, change, as_json=True)
            last = change.view
    else:
        last = await draw(screen, follower, first)
    return DONE if last.status is Status.COMPLETED else ENDED_OTHERWISE


async def draw(screen: Screen, follower: Follower, first: Change) -> StateView:
    """Draw a saga's timeline live; return its final state."""
    last = first.view
    with screen.drawing() as show:
        async for change in _until_ended(follower, first):
            last = change.view
            show(timeline(last, now=now_of(follower), look=screen.look))
    return last


def tell(screen: Screen, change: Change, *, as_json: bool) -> None:
    """Print the new notes of a saga, one line each."""
    view = change.view
    if as_json:
        for note in in_order(view.history):
            if note.id in change.new:
                told = HappeningView(
                    **dict(note), saga_id=view.saga_id, business_process=view.business_process,
                    initiator_id=view.initiator_id, status=view.status,
                )  # fmt: skip
                screen.say(told.model_dump_json(by_alias=True))
        return
    screen.say(*(happening(view, row, look=screen.look) for row in rows(view) if row.key in change.new))


async def _until_ended(follower: Follower, first: Change) -> AsyncIterator[Change]:
    """Yield a saga whenever it changes or time passes, until it has ended."""
    last = first
    while True:
        yield last
        if has_ended(last.view):
            return
        changes = await follower.changes(LONGEST_READ)
        last = changes[-1] if changes else Change(last.view, frozenset())


def has_ended(view: StateView) -> bool:
    """Tell whether a saga's end was published."""
    return any(note.type in ENDS for note in view.history)
