"""Walks index and streams together, in the order of time, and yields each saga with all of its events.

A saga is held only from its start until a little after its terminal event, so memory depends on the sagas under way,
not on all that exist. Speaks Redis; judges nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from sagastream import keys as names
from sagastream.audit.case import Sighting
from sagastream.audit.scene import Scene
from sagastream.audit.streams import Stream, horizon
from sagastream.replies import scored, sound
from sagastream.saga.advance import ENDS

SLACK_MS = 1_000  # the most by which a saga's start and its first entries may differ
LINGER_MS = 5_000  # what follows an end (a notice, a repetition) mostly comes within this time
MOST_STRAYS = 10_000
_ENDED = frozenset(ENDS.values())


@dataclass(slots=True)
class Held:
    """A saga and its events so far; None if not all are there. ``ends_ms`` is the instant of its end."""

    saga_id: str
    start_ms: int
    sightings: list[Sighting] | None = field(default_factory=list)
    ends_ms: int | None = None


class Walk:
    """One pass through everything that began at or after an instant. It can continue as time passes.

    ``strays`` are events of sagas that are not, or no longer, held.
    """

    def __init__(self, scene: Scene, *, from_ms: int = 0) -> None:
        self._scene = scene
        self._from_ms = from_ms
        self._names = scene.streams()
        self._streams: list[Stream] | None = None
        self._horizon = 0
        self._position = from_ms
        self._at_position: set[str] = set()
        self._held: dict[str, Held] = {}
        self._ending: list[Held] = []
        self._looked_up = 0
        self.strays: dict[str, list[Sighting]] = {}
        self.read_until_ms = from_ms

    @property
    def resume_ms(self) -> int:
        """Return where another walk must begin so that it misses nothing this one still holds."""
        return min((held.start_ms for held in self._held.values()), default=self.read_until_ms + 1)

    @property
    def held(self) -> int:
        """Return how many sagas are held."""
        return len(self._held)

    async def until(self, cut_ms: int, *, is_enough: Callable[[], bool] = lambda: False) -> AsyncIterator[list[Held]]:
        """Go on to an instant; yield pages of sagas whose events were all read.

        If ``is_enough`` returns True between two pages, it stops early, with ``read_until_ms`` before the instant.
        """
        streams = await self._open()
        is_last = False
        while not is_last:
            page = await self._begun(cut_ms)
            is_last = len(page) < self._scene.page
            blind: list[Held] = []
            for saga_id, start_ms in page:
                if start_ms <= self._horizon + SLACK_MS:
                    blind.append(Held(saga_id, start_ms, None))
                else:
                    self._held[saga_id] = Held(saga_id, start_ms)
            until_ms = cut_ms if is_last else self._position - SLACK_MS
            await self._meet(streams, until_ms)
            self.read_until_ms = max(self.read_until_ms, until_ms)
            over = [held for held in self._ending if (held.ends_ms or 0) + (0 if is_last else LINGER_MS) <= until_ms]
            for held in over:
                self._held.pop(held.saga_id, None)
            self._ending = [held for held in self._ending if held.saga_id in self._held]
            async for each in self._pages([*blind, *over]):
                yield each
            await self._scene.pause()
            if is_enough():
                return

    async def overdue(self, before_ms: int) -> list[Held]:
        """Return a page of sagas begun before an instant that have ended by their records, although no event said so.

        They are no longer held. The next call goes on after this page, and starts again at the end.
        """
        held = [each for each in self._held.values() if each.start_ms < before_ms and each.ends_ms is None]
        part = held[self._looked_up : self._looked_up + self._scene.page]
        self._looked_up = self._looked_up + len(part) if self._looked_up + len(part) < len(held) else 0
        record = self._scene.keys.key
        commands = [("HGET", record(names.record(each.saga_id)), "status") for each in part]
        statuses = await self._scene.connection.pipeline(commands)
        over = [each for each, status in zip(part, statuses, strict=True) if status in _ENDED or status is None]
        for each in over:
            del self._held[each.saga_id]
        return over

    async def rest(self) -> AsyncIterator[list[Held]]:
        """Yield pages of the sagas still held: those without an end."""
        rest, self._held, self._ending = list(self._held.values()), {}, []
        async for page in self._pages(rest):
            yield page

    async def _pages(self, held: Sequence[Held]) -> AsyncIterator[list[Held]]:
        for at in range(0, len(held), self._scene.page):
            yield list(held[at : at + self._scene.page])
            await self._scene.pause()

    async def _open(self) -> list[Stream]:
        if self._streams is None:
            self._horizon = await horizon(self._scene.connection, self._names)
            start = max(self._from_ms - SLACK_MS, self._horizon)
            self._streams = [Stream(name, from_ms=start, count=2 * self._scene.page) for name in self._names]
        for stream in self._streams:
            stream.go_on()
        return self._streams

    async def _begun(self, cut_ms: int) -> list[tuple[str, int]]:
        """Return the next sagas by their start, at most a page; those of one millisecond stay together."""
        count = self._scene.page
        index = self._scene.keys.key(names.index("all"))
        while True:
            reply = await self._scene.connection.execute(
                "ZRANGE", index, self._position, cut_ms, "BYSCORE", "LIMIT", 0, count, "WITHSCORES"
            )
            found = scored(reply)
            fresh = [(saga_id, start) for saga_id, start in found if saga_id not in self._at_position]
            if len(fresh) >= self._scene.page or len(found) < count:
                break
            count *= 2
        page = fresh[: self._scene.page]
        if page:
            last = page[-1][1]
            at_last = {saga_id for saga_id, start in page if start == last}
            self._at_position = at_last | (self._at_position if last == self._position else set())
            self._position = last
        return page

    async def _meet(self, streams: Sequence[Stream], until_ms: int) -> None:
        """Add every event up to an instant to its saga."""
        waiting = list(streams)
        while waiting:
            asked = [(stream, command) for stream in waiting if (command := stream.wants()) is not None]
            replies = await self._scene.connection.pipeline([command for _, command in asked])
            for (stream, _), reply in zip(asked, replies, strict=True):
                stream.answer(sound(reply))
            for stream in waiting:
                for saga_id, sighting in stream.take(until_ms):
                    self._give(saga_id, sighting)
            waiting = [stream for stream in waiting if stream.is_empty]
            if asked:
                await self._scene.pause()

    def _give(self, saga_id: str, sighting: Sighting) -> None:
        held = self._held.get(saga_id)
        if held is None or held.sightings is None:
            if len(self.strays) < MOST_STRAYS:
                self.strays.setdefault(saga_id, []).append(sighting)
            return
        held.sightings.append(sighting)
        if sighting.type in ENDS and held.ends_ms is None:
            held.ends_ms = sighting.at_ms
            self._ending.append(held)
