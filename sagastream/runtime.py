"""A whole system in one process: participants, coordinator and entrances. For first steps, tests and small services.

Each of these can equally run as a process of its own; one process is neither faster nor safer than several.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Self

import structlog

from sagastream.bus import connect
from sagastream.consumer import Consumer
from sagastream.coordinator.tracker import Coordinator
from sagastream.endings import Endings
from sagastream.entrance import Begun, Change, Entrance
from sagastream.errors import DefinitionError
from sagastream.event import Event
from sagastream.hosting import finish
from sagastream.keys import COORDINATOR
from sagastream.ledger import State
from sagastream.participant import Participant
from sagastream.saga.check import check, latest_of
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings
from sagastream.telemetry import Telemetry

_log = structlog.get_logger(__name__)


class Runtime:
    """Runs participants, and a coordinator for the given tables, while it is open as a context manager.

    ``resources`` are what handlers take besides event and transaction, by annotated type. If all participants that the
    tables name are given, the problems that ``check`` finds are logged. While the store is not the one that ``STORE``
    names, no worker runs, and ``begin`` and ``change`` raise ``WrongStore``; once it is, all of them go on.

    Raises: ``DefinitionError`` if a handler needs a resource that was not given, or two participants share a name.
    """

    def __init__(
        self,
        url: str,
        *,
        participants: Sequence[Participant],
        sagas: Sequence[Saga] = (),
        resources: Mapping[type, object] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings()
        coordinator = ["coordinator"] if sagas or not participants else []  # as in a process of its own
        who = "+".join([*(participant.name for participant in participants), *coordinator])
        name = f"{self.settings.key_prefix}{who}/{self.settings.consumer}"
        self.bus = connect(url, name=name, block=self.settings.block)
        for name, count in Counter(one.name for one in participants).items():
            if count > 1:
                raise DefinitionError(f"two participants are named {name!r}: each would bury what only the other does")
        self._entrances = {p.name: Entrance(p, bus=self.bus, settings=self.settings) for p in participants}
        self._endings = Endings(bus=self.bus, prefix=self.settings.key_prefix)
        self._workers: list[Consumer | Coordinator] = [
            Consumer(p, bus=self.bus, settings=self.settings, telemetry=Telemetry(p.name), resources=resources)
            for p in participants
        ]
        if sagas:
            _look_over(sagas, participants)
            watch = Telemetry(COORDINATOR)
            self._workers.append(Coordinator(sagas, bus=self.bus, settings=self.settings, telemetry=watch))
        self._stop = asyncio.Event()
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start all workers; events published from now on are handled, unless the server cannot be reached."""
        await self._running.enter_async_context(self._endings)
        tasks = [asyncio.create_task(worker.run(self._stop), name=worker.name) for worker in self._workers]
        self._running.push_async_callback(self._join, tasks)
        try:
            await asyncio.gather(*map(_tried, self._workers, tasks))
        except asyncio.CancelledError:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the workers finish pending work within ``STOP_WITHIN``, then close the connections."""
        try:
            await self._running.aclose()
        finally:
            await self.bus.close()

    async def begin(self, event: Event, *, key: str, initiator: str = "", change: Change | None = None) -> Begun:
        """Begin a saga; the same key begins it once. See ``Entrance.begin``."""
        return await self._entrance(event.by).begin(event, key=key, initiator=initiator, change=change)

    async def bar(
        self, saga_id: str, done: type[Event], *, because: Event, initiator: str = "", change: Change | None = None
    ) -> State:
        """Forbid a step for good and publish why; return the state of the step afterwards. See ``Entrance.bar``."""
        entrance = self._entrance(because.by)
        return await entrance.bar(saga_id, done, because=because, initiator=initiator, change=change)

    async def change(self, participant: Participant, change: Change) -> None:
        """Change a participant's state outside of any saga. See ``Entrance.change``."""
        await self._entrance(participant.name).change(change)

    async def read(self, participant: Participant, key: str) -> dict[str, str]:
        """Return a whole hash of a participant."""
        return await self._entrance(participant.name).reader.read_all(key)

    async def ended(self, saga_id: str, *, patience: timedelta = timedelta(seconds=30)) -> Status | None:
        """Return the status with which a saga ended, None if it has not ended within ``patience``."""
        return await self._endings.wait(saga_id, patience)

    def _entrance(self, participant: str) -> Entrance:
        if participant not in self._entrances:
            raise DefinitionError(f"participant {participant!r} is not part of this runtime")
        return self._entrances[participant]

    async def _join(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        self._stop.set()
        try:
            await finish(set(tasks), self.settings.stop_within)
        finally:
            for task in tasks:
                task.cancel()  # those still running if this exit is itself cancelled
        for task in tasks:
            if not task.cancelled():
                task.result()


def _look_over(sagas: Sequence[Saga], participants: Sequence[Participant]) -> None:
    """Log what does not fit, if all participants of the sagas that can begin now are here."""
    named = {name for saga in latest_of(sagas) for name in saga.participants}
    if named <= {participant.name for participant in participants}:
        for problem in check(sagas, participants):
            _log.warning("table.does_not_fit", problem=problem)


async def _tried(worker: Consumer | Coordinator, task: asyncio.Task[None]) -> None:
    tried = asyncio.create_task(worker.tried.wait())
    try:
        await asyncio.wait({tried, task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        tried.cancel()
