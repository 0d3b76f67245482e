"""The processes of a run: one or two workers per participant, one or two coordinators, and one for the entrances."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING

from sagastream.consumer import Consumer
from sagastream.coordinator.deadlines import PERIOD as DEADLINES
from sagastream.coordinator.repair import Repairs
from sagastream.coordinator.tracker import Coordinator
from sagastream.entrance import Entrance
from sagastream.keys import COORDINATOR, TIMERS, Keys
from sagastream.participant import Participant
from sagastream.settings import Settings
from sagastream.telemetry import Telemetry
from sagastream.testing.actor import Actor, Runs
from sagastream.testing.faults import Storm
from sagastream.testing.memory_keyspace import SortedSet

if TYPE_CHECKING:
    from sagastream.testing.stage import Stage

LONGEST_NAP = 15.0  # seconds until a sleeping sweep reads the timers again, which may have changed meanwhile


def company(stage: Stage) -> list[Actor]:
    """Return the workers of a run, the process that serves the entrances first."""
    chance = stage.storm.chance("people")
    most = chance.choice((2, 3, 3))  # 2: one worker of each kind
    people = [stage.actor("entrance", partial(_door, stage))]
    for participant in stage.cast.values():
        for ordinal in range(1, chance.choice((2, most))):
            people.append(stage.actor(f"{participant.name}-{ordinal}", partial(_consumer, stage, participant, ordinal)))
    for ordinal in range(1, most):
        people.append(stage.actor(f"{COORDINATOR}-{ordinal}", partial(_coordinator, stage, ordinal)))
    return people


def settings(storm: Storm) -> Settings:
    """Return the settings chosen by a seed: batch size, blocking time, claim idle time and stream retention."""
    chance = storm.chance("settings")
    return _settings(
        chance.choice((1, 3, 200)), chance.choice((8.0, 60.0)), chance.choice((8.0, 30.0)),
        timedelta(days=chance.choice((0, 1, 1))), 1,
    )  # fmt: skip


@dataclass
class Doors:
    """The entrances, available while the process that serves them lives."""

    entrances: dict[str, Entrance] = field(default_factory=dict)
    repairs: Repairs = field(init=False)


class _Door:
    """A process that only serves requests."""

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    def is_ready(self) -> bool:
        return True


def _door(stage: Stage, actor: Actor) -> Runs:
    bus = actor.bus()
    for participant in stage.cast.values():
        stage.doors.entrances[participant.name] = Entrance(participant, bus=bus, settings=stage.settings)
    stage.doors.repairs = Repairs(stage.scenario.sagas, bus=bus, settings=stage.settings)
    return _Door()


def _consumer(stage: Stage, participant: Participant, ordinal: int, actor: Actor) -> Runs:
    return Consumer(
        actor.performing(participant),
        bus=actor.bus(),
        settings=_ordinal(stage.settings, ordinal),
        telemetry=_telemetry(participant.name),
        resources=stage.scenario.resources(actor),
        chance=stage.chance.random,
    )


def _coordinator(stage: Stage, ordinal: int, actor: Actor) -> Runs:
    async def ticker(period: timedelta, call: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Call a sweep at varying intervals, but not where it would find nothing to do."""
        name = Keys(stage.settings.key_prefix, COORDINATOR).key(TIMERS).encode()
        if period is not DEADLINES:
            while True:
                await asyncio.sleep(max(period.total_seconds(), LONGEST_NAP) * stage.chance.uniform(0.5, 1.5))
                await call()
        while True:
            timers = stage.server.space.values.get(name)
            due_ms = timers.order[0][0] if isinstance(timers, SortedSet) and timers.order else float("inf")
            nap = min(LONGEST_NAP, (due_ms - stage.server.space.clock()) / 1000)
            await asyncio.sleep(max(0.0, nap) + stage.chance.uniform(0.01, 2.0))
            await call()

    return Coordinator(
        stage.scenario.sagas,
        bus=actor.bus(),
        settings=_ordinal(stage.settings, ordinal),
        telemetry=_telemetry(COORDINATOR),
        ticker=ticker,
    )


def _ordinal(told: Settings, ordinal: int) -> Settings:
    return _settings(
        told.batch, told.block.total_seconds(), told.claim_idle.total_seconds(), told.stream_retention, ordinal
    )


@cache
def _settings(batch: int, block_s: float, claim_idle_s: float, stream_retention: timedelta, ordinal: int) -> Settings:
    return Settings(
        redis_url=None,
        key_prefix="stage:",
        block=timedelta(seconds=block_s),
        claim_idle=timedelta(seconds=claim_idle_s),
        stream_retention=stream_retention,
        batch=batch,
        consumer=str(ordinal),
    )


@cache
def _telemetry(name: str) -> Telemetry:
    return Telemetry(name)
