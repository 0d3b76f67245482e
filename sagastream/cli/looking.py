"""The commands `sagas` and `show`: the current state of sagas. Prints; changes nothing."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from datetime import datetime

from sagastream.answers import moment
from sagastream.bus import Bus
from sagastream.cli.exits import DONE, NO_SUCH_SAGA
from sagastream.cli.follower import Follower
from sagastream.cli.screen import Screen
from sagastream.cli.sight import page
from sagastream.coordinator.listing import Filter
from sagastream.coordinator.missing import missing
from sagastream.coordinator.views import SagaView
from sagastream.drawing import TONES, Line, Part, Tone
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.definition import Saga
from sagastream.timeline import lasting, timeline


async def list_sagas(words: Namespace, bus: Bus, prefix: str, sagas: Sequence[Saga]) -> int:
    """Print the requested sagas, newest first."""
    wanted = Filter(words.status, words.process, words.initiator, words.from_ms, words.to_ms)
    found = await page(sagas, bus, prefix, wanted, words.cursor, words.limit)
    if words.json:
        print(found.model_dump_json(by_alias=True))
        return DONE
    Screen().say(*table(found.sagas), cut=True)
    if found.next is not None:
        # To stderr: other programs may count or cut the output.
        Screen(sys.stderr).say(Line((Part(f"there are more: --cursor {found.next}", Tone.FAINT),)))
    elif not found.sagas:
        Screen(sys.stderr).say("no such sagas")
    return DONE


async def show_saga(words: Namespace, bus: Bus, prefix: str, sagas: Sequence[Saga]) -> int:
    """Print one saga's timeline."""
    follower = Follower(sagas, bus=bus, prefix=prefix, only=words.saga_id)
    await follower.open()
    change = await follower.look(words.saga_id)
    if change is None:
        return await no_such_saga(words.saga_id, bus, prefix, sagas)
    if words.json:
        print(change.view.model_dump_json(by_alias=True))
        return DONE
    screen = Screen()
    screen.say(*timeline(change.view, now=now_of(follower), look=screen.look))
    return DONE


async def no_such_saga(saga_id: str, bus: Bus, prefix: str, sagas: Sequence[Saga]) -> int:
    """Print why nothing is known of a saga, and return the exit code."""
    why, may_come = await missing(bus.query, Keys(prefix, COORDINATOR), sagas, saga_id)
    print(f"sagastream: {why}" if may_come else f"sagastream: {why}; `sagastream sagas` lists them", file=sys.stderr)
    return NO_SUCH_SAGA


def now_of(follower: Follower) -> datetime:
    """Return the server's time as an instant."""
    now = moment(follower.now_ms)
    assert now is not None  # a number is never None
    return now


def table(sagas: Sequence[SagaView]) -> list[Line]:
    """Return sagas as aligned lines with a heading. Pure."""
    if not sagas:
        return []
    cells = [("STARTED (UTC)", "SAGA", "PROCESS", "STATUS", "FOR", "LASTED", "WHY"), *map(_cells, sagas)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for at, row in enumerate(cells):
        texts = [f"{text:<{width}}  " for text, width in zip(row, widths, strict=True)]
        tones = [Tone.STRONG] * len(texts) if at == 0 else list(_tones(sagas[at - 1]))
        lines.append(Line(tuple(map(Part, texts, tones))))
    return lines


def _cells(saga: SagaView) -> tuple[str, ...]:
    wait = saga.waiting_for
    waits = f"waits for {wait.who}: {wait.step or wait.what}" if wait else ""
    return (
        f"{saga.started_at:%Y-%m-%d %H:%M:%S}" if saga.started_at else "not seen",
        saga.saga_id,
        saga.business_process,
        saga.status,
        saga.initiator_id or "",
        lasting(saga.duration_ms) if saga.duration_ms is not None else "",
        "; ".join(filter(None, (saga.failure_reason, waits))),
    )


def _tones(saga: SagaView) -> Iterator[Tone]:
    yield from (Tone.FAINT, Tone.PLAIN, Tone.FAINT, TONES[saga.status], Tone.PLAIN, Tone.FAINT, Tone.PLAIN)
