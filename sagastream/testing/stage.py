"""The stage: a whole system played in virtual time from one seed, with everything going wrong that can.

Real consumers, real coordinators and the shipped script run against an in-memory server. Processes die and freeze at
every await, replies get lost, events come again, calls to the outside outlive their callers. After every single
command what the coordinator says is compared with what the participants' ledgers know. A seed decides everything:
the same seed is the same play.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cache

from structlog.testing import capture_logs

from sagastream.bus import Bus, Command
from sagastream.consumer import Consumer
from sagastream.coordinator.tracker import Coordinator
from sagastream.entrance import Entrance
from sagastream.errors import SagastreamError
from sagastream.event import Event
from sagastream.keys import COORDINATOR, Keys
from sagastream.participant import Participant
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings
from sagastream.telemetry import Telemetry
from sagastream.testing import virtual_time
from sagastream.testing.actor import Actor, Runs, Weather
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from sagastream.testing.truth import Truth

LONGEST = timedelta(hours=12)
_SCRIPTS = frozenset({"EVALSHA", "EVAL"})

Resources = Callable[[Actor], Mapping[type, object]]
Check = Callable[[], Iterable[str]]


class Untrue(SagastreamError):
    """Something was said that was not so, or a saga never ended; the message tells the seed and the whole story."""


class Stage:
    """One play: the cast, the server, the seed.

    ``resources`` gives the handlers what they take beside event and transaction; it is given the actor, whose
    ``outside`` makes calls that outlive it.
    """

    def __init__(
        self,
        sagas: Sequence[Saga],
        cast: Sequence[Participant],
        *,
        seed: int,
        weather: Weather | None = None,
        resources: Resources | None = None,
    ) -> None:
        self.seed = seed
        self.chance = random.Random(seed)  # chance here is a seeded play, not a secret
        self.weather = weather or Weather()
        self.story: list[str] = []
        self.checks: list[Check] = []
        self._sagas = tuple(sagas)
        self.cast = {participant.name: participant for participant in cast}
        self._resources = resources or (lambda actor: {})
        self._loop = virtual_time.VirtualTimeLoop()
        self.server = MemoryServer(self._loop.epoch_ms)
        self.settings = _settings(1)
        self.truth = Truth(self.server, self.settings.key_prefix, self._sagas, cast)
        self._streams = self._event_streams()
        self._lie: str | None = None
        self._expected = 0

    def play(self, scenario: Callable[[Stage], Awaitable[None]]) -> dict[str, str]:
        """Play to the end of every saga the scenario begins; return their statuses by saga id.

        Raises: ``Untrue`` with the story, as soon as a lie is told, or when a saga never ends.
        """
        try:
            with capture_logs():
                return self._loop.run_until_complete(self._play(scenario))
        finally:
            virtual_time.close(self._loop)

    def entrance(self, participant: Participant) -> Entrance:
        """Return where sagas are begun and barred from outside; it is never cut off."""
        return Entrance(participant, bus=self._bus(), settings=self.settings)

    async def begin(self, participant: Participant, event: Event, *, key: str, initiator: str = "") -> str:
        """Begin a saga and return its id."""
        begun = await self.entrance(participant).begin(event, key=key, initiator=initiator)
        self._expected += 1
        return begun.saga_id

    def expect_sagas(self, count: int) -> None:
        """Say how many sagas there will be that were not begun through this stage."""
        self._expected += count

    def tell(self, what: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self._loop.time():9.3f}  {what}")

    async def _play(self, scenario: Callable[[Stage], Awaitable[None]]) -> dict[str, str]:
        actors = self._actors()
        for actor in actors:
            actor.start()
        trouble = asyncio.create_task(self._trouble(actors))
        await scenario(self)
        await trouble
        self.tell("calm")
        for actor in actors:
            actor.is_calm = True
            if not actor.is_alive:
                actor.start()
        ends_at = self._loop.time() + LONGEST.total_seconds()
        while not self._is_over():
            if self._loop.time() > ends_at:
                raise self._untrue(f"not ended: {self.truth.statuses()}")
            await asyncio.sleep(5)
        await asyncio.sleep(self.weather.longest_call_s + self.weather.longest_absence_s)  # whatever is still to land
        self._look()
        self._raise_lie()
        return self.truth.statuses()

    def _is_over(self) -> bool:
        self._raise_lie()
        statuses = self.truth.statuses()
        return len(statuses) >= self._expected and all(Status(status).is_end for status in statuses.values())

    def _actors(self) -> list[Actor]:
        actors = []
        for participant in self.cast.values():
            for ordinal in range(1, self.chance.choice((2, 2, 3))):
                actors.append(self._actor(f"{participant.name}-{ordinal}", self._consumer(participant, ordinal)))
        for ordinal in range(1, self.chance.choice((2, 2, 3))):
            actors.append(self._actor(f"{COORDINATOR}-{ordinal}", self._coordinator(ordinal)))
        return actors

    def _actor(self, name: str, make: Callable[[Actor], Runs]) -> Actor:
        return Actor(name, make, self.server, self.chance, self.weather, observe=self._observed, tell=self.tell)

    def _consumer(self, participant: Participant, ordinal: int) -> Callable[[Actor], Runs]:
        return lambda actor: Consumer(
            participant,
            bus=actor.bus(),
            settings=_settings(ordinal),
            telemetry=_telemetry(participant.name),
            resources=self._resources(actor),
            chance=self.chance.random,
        )

    def _coordinator(self, ordinal: int) -> Callable[[Actor], Runs]:
        return lambda actor: Coordinator(
            self._sagas,
            bus=actor.bus(),
            settings=_settings(ordinal),
            telemetry=_telemetry(COORDINATOR),
            ticker=self._ticker,
        )

    async def _ticker(self, period: timedelta, call: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0.2, 3.0))
            await call()

    async def _trouble(self, actors: Sequence[Actor]) -> None:
        """Kill, freeze, restart and repeat at instants the seed chose, until the storm is over."""
        weather, chance = self.weather, self.chance
        plan: list[tuple[float, Callable[[], None]]] = []
        for _ in range(chance.randint(0, weather.kills)):
            plan.append((chance.uniform(0, weather.storm_s), chance.choice(actors).kill))
        for _ in range(chance.randint(0, weather.freezes)):
            seconds = chance.uniform(1, weather.longest_absence_s)
            actor = chance.choice(actors)
            plan.append((chance.uniform(0, weather.storm_s / 4), lambda a=actor, s=seconds: a.freeze(s)))  # type: ignore[misc]
        for _ in range(chance.randint(0, weather.repeats)):
            plan.append((chance.uniform(0, weather.storm_s), self._repeat_an_event))
        back_at: dict[str, float] = {}
        for at, what in [*sorted(plan, key=lambda item: item[0]), (weather.storm_s, lambda: None)]:
            while self._loop.time() < at:
                await asyncio.sleep(max(0.001, min(1.0, at - self._loop.time())))
                self._restart(actors, back_at)
            what()

    def _restart(self, actors: Sequence[Actor], back_at: dict[str, float]) -> None:
        for actor in actors:
            if actor.is_alive:
                continue
            absent = self.chance.choice((0.5, 3.0, self.weather.longest_absence_s))
            if self._loop.time() >= back_at.setdefault(actor.name, self._loop.time() + self.chance.uniform(0, absent)):
                del back_at[actor.name]
                self.tell(f"{actor.name} is back")
                actor.start()

    def _repeat_an_event(self) -> None:
        """Publish once more, under the same id, something that was published before."""
        stream = self.chance.choice(self._streams)
        entries = self.server.call("XRANGE", stream, "-", "+")
        if isinstance(entries, list) and entries:
            entry = self.chance.choice(entries)
            fields = entry[1] if isinstance(entry, list) else None
            if isinstance(fields, list):
                self.tell(f"again: {stream}")
                self.server.call("XADD", stream, "*", *(str(value) for value in fields))

    def _event_streams(self) -> list[str]:
        keys = Keys(self.settings.key_prefix, COORDINATOR)
        streams = [keys.of(kind.by).events(kind.type_name()) for saga in self._sagas for kind in saga.event_types()]
        return [*streams, *(keys.requests(participant.name) for participant in self.cast.values())]

    def _observed(self, actor: str, command: Command) -> None:
        if command[0] in _SCRIPTS:
            self._look()

    def _look(self) -> None:
        if self._lie is None:
            self._lie = next(self.truth.lies(), None) or next((lie for check in self.checks for lie in check()), None)
            if self._lie is not None:
                self.tell(f"LIE: {self._lie}")

    def _raise_lie(self) -> None:
        if self._lie is not None:
            raise self._untrue(self._lie)

    def _untrue(self, what: str) -> Untrue:
        return Untrue("\n".join([f"seed {self.seed}: {what}", *self.story, *self._histories()]))

    def _histories(self) -> list[str]:
        keys = Keys(self.settings.key_prefix, COORDINATOR)
        lines: list[str] = []
        for saga_id in self.truth.saga_ids():
            told = self.server.call("LRANGE", keys.key(f"history:{saga_id}"), 0, -1)
            lines += [f"history of {saga_id}", *(f"  {line}" for line in (told if isinstance(told, list) else []))]
        return lines

    def _bus(self) -> Bus:
        connection = MemoryConnection(self.server, after=self._see)
        return Bus(connection, connection, connection)

    async def _see(self, command: Command) -> None:
        self._observed("entrance", command)


@cache
def _settings(ordinal: int) -> Settings:
    return Settings(
        redis_url=None,
        key_prefix="stage:",
        block=timedelta(seconds=20),
        claim_idle=timedelta(seconds=15),
        consumer=ordinal,
    )


@cache
def _telemetry(name: str) -> Telemetry:
    return Telemetry(name)
