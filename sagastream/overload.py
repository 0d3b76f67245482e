"""Tell when participants lag so far behind that no saga should be begun. Reads only; refuses nothing itself.

Lag must not turn into mass undo: a saga begun while a participant is far behind would only run out of time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from sagastream.bus import Bus, Reply
from sagastream.clock import ms_of
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.event import Event
from sagastream.keys import Keys
from sagastream.replies import listed, named, taken_ms

log = structlog.get_logger(__name__)

_EVERY = timedelta(seconds=0.5)
_LONGEST_TRUST = 10  # in refreshes: an older result is not used
_LONGEST_WAIT_S = 30


@dataclass(frozen=True, slots=True)
class Bound:
    """The greatest age allowed for the oldest event that a participant has not read yet."""

    event: type[Event]
    by: str
    limit: timedelta


@dataclass(frozen=True, slots=True)
class Behind:
    """A participant that lags further behind than its bound allows."""

    bound: Bound
    age: timedelta

    @property
    def retry_after_s(self) -> int:
        """Return how many seconds a client should wait: those by which the bound is exceeded, at most 30."""
        return min(max(1, math.ceil((self.age - self.bound.limit).total_seconds())), _LONGEST_WAIT_S)


class Overload:
    """Measures how far participants lag behind, for routes that begin sagas.

    Costs nothing while no caller asks. Under load one caller per refresh starts a look of two round trips; all others
    get the latest result. If a look takes so long that the server may be silent, callers wait for it; once the server
    is known to be silent, they do not wait. A participant whose group does not exist yet has read nothing.
    """

    def __init__(
        self,
        bounds: Sequence[Bound],
        *,
        bus: Bus,
        prefix: str,
        every: timedelta = _EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bounds = [(bound, Keys(prefix, bound.event.by).events(bound.event.type_name())) for bound in bounds]
        self._connection = bus.query
        self._every = every.total_seconds()
        self._clock = clock
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = -math.inf
        self._looks_since = -math.inf
        self._has_failed = False  # outcome of the last finished look
        self._worst: Behind | None = None

    async def worst(self) -> Behind | None:
        """Return the participant that exceeds its bound by most, None if none does.

        Raises: ``ServerUnavailable``.
        """
        age = self._clock() - self._looked_at
        is_looking = self._looking is not None and not self._looking.done()
        is_slow = is_looking and self._clock() - self._looks_since >= self._every
        if is_slow and self._has_failed:
            raise ServerUnavailable("it has not answered the last look, nor so far the one that is under way")
        if is_slow or age >= self._every * _LONGEST_TRUST or (age >= self._every and not is_looking):
            if self._looking is None or self._looking.done():
                self._looks_since = self._clock()
                self._looking = asyncio.create_task(self._refresh(), name="overload")
                self._looking.add_done_callback(_taken_note_of)
            # All callers share one look, even one that fails: if each looked again, a silent server would make them
            # wait in a queue that keeps growing.
            await asyncio.shield(self._looking)
        return self._worst

    async def _refresh(self) -> None:
        try:
            worst = await self._look()
        except ServerUnavailable:
            self._has_failed = True
            raise
        self._has_failed = False
        self._tell(worst)
        self._looked_at = self._clock()

    async def _look(self) -> Behind | None:
        unread = await self._first_unread()
        commands = [("XRANGE", stream, f"({position}", "+", "COUNT", 1) for _, stream, position in unread]
        now, *replies = await self._connection.pipeline([("TIME",), *commands])
        if isinstance(now, ReplyError):
            raise now
        behind = [
            Behind(bound, timedelta(milliseconds=ms_of(now) - since_ms))
            for (bound, _, _), reply in zip(unread, replies, strict=True)
            if (since_ms := _first_ms(reply)) is not None
        ]
        late = [one for one in behind if one.age > one.bound.limit]
        return max(late, key=lambda one: one.age - one.bound.limit, default=None)

    async def _first_unread(self) -> list[tuple[Bound, str, str]]:
        """Return the position up to which each participant has read, for every stream that exists."""
        streams = list(dict.fromkeys(stream for _, stream in self._bounds))
        replies = await self._connection.pipeline([("XINFO", "GROUPS", stream) for stream in streams])
        groups = dict(zip(streams, replies, strict=True))
        found = []
        for bound, stream in self._bounds:
            reply = groups[stream]
            if isinstance(reply, ReplyError):
                if "no such key" not in str(reply):
                    log.warning("overload.unreadable", stream=stream, error=str(reply))
                continue
            delivered = dict(_delivered(reply))
            found.append((bound, stream, delivered.get(bound.by, "0-0")))
        return found

    def _tell(self, worst: Behind | None) -> None:
        if worst is not None and self._worst is None:
            log.warning(
                "overload.begins", behind=worst.bound.by, after=worst.bound.event.type_name(),
                age_s=worst.age.total_seconds(), limit_s=worst.bound.limit.total_seconds(),
            )  # fmt: skip
        elif worst is None and self._worst is not None:
            log.info("overload.ends", behind=self._worst.bound.by)
        self._worst = worst


def _taken_note_of(looking: asyncio.Task[None]) -> None:
    """Retrieve the look's exception, because all its callers may have been cancelled meanwhile."""
    if not looking.cancelled():
        looking.exception()


def _delivered(reply: Reply) -> Iterator[tuple[str, str]]:
    for told in map(named, listed(reply)):
        yield told["name"], told["last-delivered-id"]


def _first_ms(reply: Reply | ReplyError) -> int | None:
    if isinstance(reply, list) and reply and isinstance(reply[0], list):
        return taken_ms(reply[0][0])
    return None
