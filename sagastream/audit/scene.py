"""The scope of an audit and how it proceeds: the server, the tables, the participants. Holds; reads nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from sagastream.audit.findings import Findings, Rule
from sagastream.bus import Connection
from sagastream.coordinator.lags import streams
from sagastream.keys import COORDINATOR, Keys
from sagastream.participant import Participant
from sagastream.saga.definition import Saga
from sagastream.settings import Settings

Pause = Callable[[], Awaitable[object]]


async def _at_once() -> None:
    await asyncio.sleep(0)


@dataclass(frozen=True)
class Scene:
    """What is audited.

    ``is_at_rest`` means that nothing is under way, so whatever is left over is a difference. Without ``participants``
    only what the tables name is followed. ``pause`` is awaited after every ``page`` of sagas, so that an audit beside
    other work takes only its share.
    """

    connection: Connection
    settings: Settings
    sagas: Sequence[Saga]
    participants: Sequence[Participant] = ()
    is_at_rest: bool = False
    page: int = 250
    pause: Pause = field(default=_at_once)

    @property
    def keys(self) -> Keys:
        """Return the names of the coordinator's keys."""
        return Keys(self.settings.key_prefix, COORDINATOR)

    def streams(self) -> list[str]:
        """Return every stream that holds events of these sagas, including requests to participants."""
        found = dict.fromkeys(streams(self.sagas, self.keys))
        for participant in self.participants:
            for handler in participant.functions:
                for event in handler.publishes:
                    found[self.keys.of(event.by).events(event.type_name())] = None
        return list(found)

    def ledgers(self, saga: Saga) -> tuple[str, ...]:
        """Return the participants that may have a ledger of such a saga."""
        return tuple(dict.fromkeys((*saga.participants, *(participant.name for participant in self.participants))))


@dataclass(frozen=True)
class Audit:
    """A project's rules about data that only the project knows: its own books.

    ``compare`` tries them on what the scene shows and records everything in the findings, which list ``rules``. It must
    distinguish what is under way from what has ended, unless the scene is at rest.
    """

    rules: tuple[Rule, ...]
    compare: Callable[[Scene, Findings], Awaitable[None]]
