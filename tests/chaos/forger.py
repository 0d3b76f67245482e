"""Faults on the streams: events that are put there again, and entries that are no events."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from sagastream.bus import Reply
from sagastream.errors import ReplyError
from sagastream.keys import LETTERS, Keys
from tests.chaos.faults import Fault, Kind
from tests.chaos.lane import Act
from tests.chaos.scene import GROUPS, Scene, now_ms, streams_of
from tests.processes.shop import PREFIX
from tests.processes.until import until

_LETTER_S = 30.0
_YOUNG = 40  # of the newest entries, from which one is taken
_NOT_AN_EVENT = ("poison",)


class Forger:
    """Writes to the streams of a scene what nobody published."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene = scene
        self._chance = chance
        self._number = 0
        self._streams = list(dict.fromkeys(stream for group in GROUPS.values() for stream in streams_of(group)))

    def acts(self) -> Mapping[Kind, Act]:
        """Return what there is to do, by kind."""
        return {Kind.DUPLICATE: self.repeat, Kind.POISON: self.poison}

    async def repeat(self) -> Fault:
        """Put some young entries, of any stream, there once more."""
        at = now_ms()
        stream, entries = await self._some_entries(self._streams)
        chosen = self._chance.sample(entries, min(len(entries), self._chance.randint(1, 4)))
        put = [str(await self._scene.insist("XADD", stream, "*", *fields)) for fields in chosen]
        return Fault(
            Kind.DUPLICATE, stream, at, now_ms(), len(put), f"put there again as {', '.join(put) or 'nothing'}"
        )

    async def poison(self) -> Fault:
        """Put there what is no event: of no saga, or the torn event of one. It must lie in the letters soon after."""
        at = now_ms()
        self._number += 1
        mark = f"poison-{self._number}-{self._chance.getrandbits(32):08x}"
        group = self._chance.choice(list(GROUPS.values()))
        stream, entries = await self._some_entries(
            [stream for stream in streams_of(group) if ":events:" in stream and not stream.endswith(("Lost", "GaveUp"))]
        )
        is_torn = bool(entries) and self._chance.random() < 0.5
        fields = _torn(self._chance.choice(entries)) if is_torn else ["specversion", "1.0"]
        await self._scene.insist("XADD", stream, "*", *fields, *_NOT_AN_EVENT, mark)
        readers = [name for name in GROUPS.values() if stream in streams_of(name)]

        async def ask() -> int:
            replies = await self._scene.insist_all(
                [("XREVRANGE", Keys(PREFIX, name).key(LETTERS), "+", "-", "COUNT", 50) for name in readers]
            )
            found = sum(mark in str(reply) for reply in replies if not isinstance(reply, ReplyError))
            return found if found == len(readers) else 0

        try:
            found = await until(ask, "letters", _LETTER_S, every_s=0.1)
        except AssertionError:
            found = 0
        what = "a torn event" if is_torn else "no event"
        proof = f"{what} lies in the letters of {', '.join(readers)}" if found else f"{mark} is in no letter"
        return Fault(Kind.POISON, stream, at, now_ms(), found, proof)

    async def _some_entries(self, streams: Sequence[str]) -> tuple[str, list[list[str]]]:
        """Return a stream on which something was said lately, and the fields of its youngest entries."""
        for stream in self._chance.sample(streams, len(streams)):
            entries = _fields(await self._scene.insist("XREVRANGE", stream, "+", "-", "COUNT", _YOUNG))
            if entries:
                return stream, entries
        return streams[0], []


def _torn(fields: Sequence[str]) -> list[str]:
    """Return an event that names its saga and has lost its payload."""
    return [part for name, value in zip(fields[::2], fields[1::2], strict=True) if name != "data"
            for part in (name, value)]  # fmt: skip


def _fields(reply: Reply) -> list[list[str]]:
    entries = reply if isinstance(reply, list) else []
    found = [entry[1] for entry in entries if isinstance(entry, list) and isinstance(entry[1], list)]
    return [[str(part) for part in flat] for flat in found if "poison" not in flat]
