"""The stage: runs a whole system in virtual time from one seed, with every kind of fault.

Real consumers, real coordinators and the shipped script run against an in-memory server. After every single commit
the coordinator's records are compared with the participants' ledgers, and at the end no work may be left
over. The seed decides everything: the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from structlog.testing import capture_logs

from sagastream.bus import Bus
from sagastream.entrance import Entrance
from sagastream.errors import DefinitionError, SagastreamError, ServerUnavailable
from sagastream.event import Event
from sagastream.participant import Participant
from sagastream.saga.check import check
from sagastream.saga.lifecycle import Status
from sagastream.saga.repair import Action
from sagastream.testing import aftermath, people, story, trouble, virtual_time
from sagastream.testing.actor import Actor, Runs
from sagastream.testing.faults import Fault, Storm
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from sagastream.testing.raised import raised
from sagastream.testing.scenario import Scenario
from sagastream.testing.truth import Truth

LONGEST = timedelta(hours=6)
MOST_STEPS = 100_000
AUDITED = 3  # one in this many seeds is audited as well
T = TypeVar("T")


class Untrue(SagastreamError):
    """A saga reported something untrue, or never ended; the message names the seed and holds the whole timeline.

    Mismatches within the scenario, as reported by ``sagastream check``, come before the timeline.
    """

    def __init__(self, what: str, stage: Stage) -> None:
        misfits = (f"check: {problem}" for problem in check(stage.scenario.sagas, stage.scenario.cast))
        super().__init__("\n".join([f"seed {stage.seed}: {what}", *misfits, *story.told(stage)]))
        self.what = what
        self.seed = stage.seed
        self.sites = dict(stage.storm.sites)
        self.began = stage.numbers  # includes those not begun yet at the failure: their numbers affect the run too


class Stage:
    """One run of a scenario.

    ``only`` are the sites at which faults may happen (see ``faults``), None for all; ``sagas`` the
    numbers of the sagas to begin, None to let the seed choose.

    Raises (when built): ``DefinitionError`` for two participants of one name.
    """

    def __init__(
        self, scenario: Scenario, *, seed: int, only: frozenset[str] | None = None, sagas: Sequence[int] | None = None
    ) -> None:
        self.seed = seed
        self.scenario = scenario
        self.storm = Storm(seed, scenario.weather, only)
        self.chance = self.storm.chance("scenario")
        self.story: list[tuple[int, str]] = []
        self.cast = {participant.name: participant for participant in scenario.cast}
        if len(self.cast) < len(scenario.cast):
            raise DefinitionError(
                "two participants of the scenario have one name, and only one of them would be played"
            )
        self.loop = virtual_time.VirtualTimeLoop()
        self.clock_offset_ms = 0
        self.has_gone_back = False
        self.server = MemoryServer(lambda: self.loop.epoch_ms() + self.clock_offset_ms)
        self.settings = people.settings(self.storm)
        self.truth = Truth(self.server, self.settings.key_prefix, scenario.sagas, scenario.cast)
        self.begun: dict[int, str] = {}
        self.raised: Counter[str] = Counter()
        self.actors: list[Actor] = []
        many = range(min(self.chance.choice((1, 1, 2, 3)), scenario.most))
        self.numbers = tuple(many if sagas is None else sagas)
        self._lie: str | None = None
        self._broken: Exception | None = None
        self._playing: asyncio.Task[dict[str, str]] | None = None
        self.doors = people.Doors()
        self._asked = 0
        self.acting: list[asyncio.Task[None]] = []

    def play(self) -> dict[str, str]:
        """Run until every saga has ended; return their statuses by saga id.

        Raises: ``Untrue`` with the timeline, as soon as something untrue is reported, or when a saga never ends.
        """
        self._playing = self.loop.create_task(self._play(), name="play")
        self.loop.at_step(MOST_STEPS, lambda: self.find_out(f"nothing comes to rest in {MOST_STEPS:,} steps"))
        logs: list[MutableMapping[str, Any]] = []
        try:
            with capture_logs() as logs:
                return self.loop.run_until_complete(self._playing)
        except asyncio.CancelledError:
            raise Untrue(self._lie or "the play was broken off", self) from self._broken
        except virtual_time.Deadlock as error:
            raise Untrue(str(error), self) from error
        finally:
            self.raised = raised(logs)
            self.storm.is_over = True
            virtual_time.close(self.loop)

    def entrance(self, participant: Participant) -> Entrance:
        """Return an entrance that meets no faults, for preparing the scenario."""
        connection = MemoryConnection(self.server)
        return Entrance(participant, bus=Bus(connection, connection, connection), settings=self.settings)

    async def begin(self, participant: Participant, event: Event, *, key: str, initiator: str = "") -> str:
        """Begin a saga as a client that repeats unanswered requests; return its id."""
        begun = await self.ask(participant, lambda entrance: entrance.begin(event, key=key, initiator=initiator))
        return begun.saga_id

    async def ask(self, participant: Participant, call: Callable[[Entrance], Awaitable[T]]) -> T:
        """Send a request to a process that serves them, repeatedly until it answers: it may be killed meanwhile.

        Raises: ``DefinitionError`` for a participant that is not in the scenario.
        """
        if participant.name not in self.cast:
            there = ", ".join(self.cast)
            raise DefinitionError(f"{participant.name!r} is not among the participants of the scenario: {there}")
        return await self._answered(lambda: call(self.doors.entrances[participant.name]))

    async def operate(self, saga_id: str, action: Action) -> None:
        """Act on a saga as a person does, through a coordinator's routes, repeatedly until there is an answer."""
        done = await self._answered(lambda: self.doors.repairs.act(saga_id, action))
        self.tell(f"{action.act} {saga_id}: {done.verdict.told if done else 'there is no such saga'}")

    async def _answered(self, call: Callable[[], Awaitable[T]]) -> T:
        door = self.actors[0]
        self._asked += 1
        chance = self.storm.chance(f"request {self._asked}")
        while True:
            if door.is_alive:
                life, asked = door.life, asyncio.ensure_future(call())
                while not asked.done() and door.life == life:
                    await asyncio.wait([asked], timeout=1)
                if not asked.done():
                    asked.cancel()
                elif not isinstance(asked.exception(), ServerUnavailable):
                    return asked.result()
            await asyncio.sleep(chance.choice((0.01, 1.0, 20.0)))

    def dice(self, number: int) -> random.Random:
        """Return the random generator of one saga, from its start at every call, whatever faults happen."""
        return self.storm.chance(f"saga {number}")

    def tell(self, what: str) -> None:
        """Add a line to the timeline."""
        self.story.append((self.loop.epoch_ms(), what))

    def outcome(self) -> Counter[str]:
        """Return what this run has seen, to prove that a range of seeds saw everything."""
        return Counter({str(fault): times for fault, times in self.storm.fired.items()}) + self.truth.seen

    async def _play(self) -> dict[str, str]:
        self.actors = people.company(self)
        # If streams are trimmed once all groups have read them, a group not created yet would miss entries.
        self.storm.is_over = not self.settings.stream_retention
        for actor in self.actors:
            actor.start()
        if self.storm.is_over:
            await asyncio.sleep(1)
            self.storm.is_over = False
        await self.scenario.prepare(self)
        trouble.plan(self)
        sagas = [asyncio.create_task(self._one(number)) for number in self.numbers]
        await asyncio.sleep(self.storm.ends_at)
        self.storm.is_over = True
        self.server.refuses = None
        self.tell("calm")
        await asyncio.gather(*sagas, *self.acting)
        await self._until(self._is_over)
        await self._until(lambda: not any(actor.is_away for actor in self.actors))
        await self._until(lambda: all(actor.is_ready for actor in self.actors))
        await self._until(lambda: not self._left())
        self._look()
        for lie in (*aftermath.lies(self), *(aftermath.differences(self) if self.seed % AUDITED == 0 else ())):
            self.find_out(lie)
        await asyncio.sleep(0)  # a failure ends the run here
        return self.truth.statuses()

    async def _one(self, number: int) -> None:
        chance = self.storm.chance(f"client {number}")
        await asyncio.sleep(chance.choice((0.0, 0.0, 0.01, 1.0, 10.0)))
        cancel = self.scenario.cancel
        is_cancelled, later = chance.random() < 0.6, chance.choice((0.0, 0.002, 0.01, 0.05, 0.3, 5.0, 40.0))
        try:
            begun: object = await self.scenario.begin(self, number)
        except SagastreamError as error:
            self.find_out(f"saga {number} cannot be begun: {type(error).__name__}: {error}")
            return
        if not isinstance(begun, str):
            self.find_out(f"begin() of the scenario must return the saga's id, got {begun!r}")
            return
        self.begun[number] = begun
        self.tell(f"saga {number} is begun: {begun}")
        if cancel is None or not is_cancelled or Fault.CANCELLED not in self.storm.kinds:
            return
        await asyncio.sleep(later)
        if self.storm.strikes(Fault.CANCELLED, f"cancel.{number}"):
            self.tell(f"saga {number} is to be cancelled")
            await cancel(self, number)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        ends_at = self.loop.time() + LONGEST.total_seconds()
        while not is_so():
            if self.loop.time() > ends_at:
                self.find_out(f"not ended: {self.truth.statuses()}; left over: {self._left()}")
            await asyncio.sleep(5)

    def _is_over(self) -> bool:
        statuses = self.truth.statuses()
        return all(
            Status(statuses.get(saga_id, "Started")).is_end
            or (saga_id in self.truth.harmed and statuses.get(saga_id) == Status.NEEDS_ATTENTION)
            for saga_id in self.begun.values()
        )

    def _left(self) -> str | None:
        return next(aftermath.left_over(self), None)

    def actor(self, name: str, make: Callable[[Actor], Runs]) -> Actor:
        """Return a new worker; the truth is checked after each of its commits."""
        return Actor(name, make, self.server, self.storm, observe=self._look, tell=self.tell, failed=self.find_out)

    def find_out(self, lie: str) -> None:
        """Record a failure; the first one ends the run."""
        if self._lie is None:
            self._lie = lie
            self.tell(f"LIE: {lie}")
            if self._playing is not None:
                self._playing.cancel()

    def _look(self) -> None:
        if self._lie is None:
            lie = self.truth.lie() or self._lie_outside()
            if lie is not None:
                self.find_out(lie)

    def _lie_outside(self) -> str | None:
        try:
            return next(iter(self.scenario.lies(self)), None)
        except Exception as error:  # raised during a worker's commit, which must not appear to be refused by it
            self._broken = error
            return f"lies() of the scenario raised {type(error).__name__}: {error}"
