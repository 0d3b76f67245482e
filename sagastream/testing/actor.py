"""A process of the simulation: a worker that can be killed, frozen and started again, and its way to the world.

Everything a worker does beyond its own memory passes here, so that it can be delayed, lost or cut off at exactly
that point: before a command, between a command and its reply, before and after a call to the outside.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sagastream.bus import Bus, Command
from sagastream.errors import ServerUnavailable
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer

T = TypeVar("T")


class Runs(Protocol):
    """Whatever works until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        ...


@dataclass(frozen=True)
class Weather:
    """How bad it gets, in virtual seconds and chances per command.

    Faults end after ``storm_s``; from then on everything runs, so that every saga must come to its end.
    """

    storm_s: float = 90.0
    kills: int = 4
    freezes: int = 4
    longest_absence_s: float = 120.0
    crash: float = 0.004
    lost_reply: float = 0.004
    repeats: int = 3
    slow_call: float = 0.25
    longest_call_s: float = 60.0


class Actor:
    """One worker and the faults it meets. ``observe`` sees every command right after the server executed it."""

    def __init__(
        self,
        name: str,
        make: Callable[[Actor], Runs],
        server: MemoryServer,
        chance: random.Random,
        weather: Weather,
        *,
        observe: Callable[[str, Command], None],
        tell: Callable[[str], None],
    ) -> None:
        self.name = name
        self._make = make
        self._server = server
        self._chance = chance
        self._weather = weather
        self._observe = observe
        self._tell = tell
        self._life = 0
        self._task: asyncio.Task[None] | None = None
        self._frozen_until = 0.0
        self._graves: list[asyncio.Future[None]] = []
        self.is_calm = False

    @property
    def is_alive(self) -> bool:
        """Tell whether the worker runs."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Start the worker, as after a reboot: with nothing but what the server remembers."""
        self._life += 1
        worker = self._make(self)
        self._task = asyncio.get_running_loop().create_task(worker.run(asyncio.Event()), name=self.name)

    def kill(self) -> None:
        """End the worker on the spot: not another command of this life reaches the server."""
        self._life += 1
        if self._task is not None:
            self._tell(f"{self.name} is killed")
            self._task.cancel()

    def freeze(self, seconds: float) -> None:
        """Stop the worker in its tracks for a while; it goes on later as if nothing had been."""
        self._tell(f"{self.name} is frozen for {seconds:.0f} s")
        self._frozen_until = asyncio.get_running_loop().time() + seconds

    def bus(self) -> Bus:
        """Return the connections of this life of the worker."""
        life = self._life

        async def before(command: Command) -> None:
            await self._reach(life)

        async def after(command: Command) -> None:
            self._observe(self.name, command)
            await self._return(life)

        connection = MemoryConnection(self._server, before=before, after=after)
        return Bus(connection, connection, connection)

    def is_unlucky(self, chance: float) -> bool:
        """Tell whether something that fails with this chance while the storm lasts fails now."""
        return not self.is_calm and self._chance.random() < chance

    async def outside(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that leaves the process: it may take long, and it lands even if the caller is gone by then."""
        life = self._life
        await self._reach(life)
        loop = asyncio.get_running_loop()

        async def travel() -> T:
            if not self.is_calm and self._chance.random() < self._weather.slow_call:
                await asyncio.sleep(self._chance.uniform(0, self._weather.longest_call_s))
            return await call()

        journey = loop.create_task(travel())
        journey.add_done_callback(_ignore_failure)  # its caller may be gone
        answer = await asyncio.shield(journey)
        await self._thaw(life)
        return answer

    async def _reach(self, life: int) -> None:
        """Be on the way to the server."""
        if not self.is_calm:
            draw = self._chance.random()
            if draw < self._weather.crash:
                self.kill()
            elif draw < 0.3:
                await asyncio.sleep(self._chance.choice((0.001, 0.004, 0.02, 0.3)))
        await self._thaw(life)

    async def _return(self, life: int) -> None:
        """Be on the way back with the reply."""
        if not self.is_calm:
            draw = self._chance.random()
            if draw < self._weather.crash:
                self.kill()
            elif draw < self._weather.crash + self._weather.lost_reply:
                raise ServerUnavailable("the reply was lost")
        await self._thaw(life)

    async def _thaw(self, life: int) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._frozen_until:
            # A millisecond more than asked: virtual time is rounded, and waking a moment early would not thaw.
            await asyncio.sleep(self._frozen_until - loop.time() + 0.001)
        if self._life != life:
            self._graves.append(loop.create_future())
            await self._graves[-1]  # the dead do nothing more, not even fail


def _ignore_failure(task: asyncio.Task[T]) -> None:
    if not task.cancelled():
        task.exception()
