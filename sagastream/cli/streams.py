"""The command `streams`: the groups of each stream, and their positions. Prints; changes nothing."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence

from sagastream.bus import Bus
from sagastream.cli.exits import DONE
from sagastream.cli.screen import Screen
from sagastream.coordinator.readers import read_streams
from sagastream.coordinator.stream_views import GroupView, StreamView, shown
from sagastream.drawing import Line, Part, Tone
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.definition import Saga
from sagastream.timeline import lasting

_HEAD = ("STREAM", "LENGTH", "GROUP", "LAG", "OLDEST", "PENDING", "OLDEST", "CONSUMERS")
_NUMBERS = (1, 3, 4, 5, 6)


async def list_streams(words: Namespace, bus: Bus, prefix: str, sagas: Sequence[Saga]) -> int:
    """Print every stream with its groups."""
    found = shown(*await read_streams(bus.query, Keys(prefix, COORDINATOR), sagas))
    if words.json:
        print(found.model_dump_json(by_alias=True))
    elif found.streams:
        Screen().say(*table(found.streams), cut=True)
    else:
        Screen(sys.stderr).say("there is no stream yet")
    return DONE


def table(streams: Sequence[StreamView]) -> list[Line]:
    """Return one aligned line for each group, or for a stream without groups, with a heading. Pure."""
    rows = [(_HEAD, Tone.STRONG), *(row for stream in streams for row in _rows(stream))]
    widths = [max(map(len, column)) for column in zip(*(cells for cells, _ in rows), strict=True)]
    lines = []
    for cells, tone in rows:
        texts = [
            text.rjust(width) if at in _NUMBERS else text.ljust(width)
            for at, (text, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append(Line((Part("  ".join(texts).rstrip(), tone),)))
    return lines


def _rows(stream: StreamView) -> Iterator[tuple[tuple[str, ...], Tone]]:
    about = (stream.name, str(stream.length))
    if stream.problem is not None:
        yield (*about, stream.problem, "", "", "", "", ""), Tone.STOPPED
    elif not stream.groups:
        yield (*about, "nobody reads it", "", "", "", "", ""), Tone.FAINT
    for group in stream.groups:
        yield (*about, *_cells(group)), _tone(group)


def _cells(group: GroupView) -> tuple[str, ...]:
    if group.missing:
        return group.name, "gone", "", "", "", ""
    return (
        group.name,
        "?" if group.lag is None else str(group.lag),
        _age(group.oldest_unread_age_ms),
        str(group.pending),
        _age(group.oldest_pending_age_ms),
        ", ".join(consumer.name for consumer in group.consumers),
    )


def _tone(group: GroupView) -> Tone:
    if group.missing:
        return Tone.STOPPED
    return Tone.PLAIN if group.lag == 0 and group.pending == 0 else Tone.WAITING


def _age(ms: int | None) -> str:
    return "" if ms is None else lasting(ms)
