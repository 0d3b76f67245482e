"""A process of the simulation: a worker that can be killed, paused and restarted, and its outside calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Protocol, TypeVar

from sagastream.bus import Bus
from sagastream.event import Event
from sagastream.participant import Function, Handler, Participant
from sagastream.testing.faults import Fault, Luck, Storm
from sagastream.testing.line import Line
from sagastream.testing.memory_server import MemoryServer
from sagastream.testing.raised import ANSWER_LOST, HANDLER_FAILS, LINE_DOWN

T = TypeVar("T")


class Runs(Protocol):
    """Anything that works until its ``stop`` is set."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set."""
        ...

    def is_ready(self) -> bool:
        """Tell whether it has opened the streams it reads."""
        ...


class Actor:
    """One worker and the faults injected into it."""

    def __init__(
        self,
        name: str,
        make: Callable[[Actor], Runs],
        server: MemoryServer,
        storm: Storm,
        *,
        observe: Callable[[], None],
        tell: Callable[[str], None],
        failed: Callable[[str], None],
    ) -> None:
        self.name = name
        self.luck = Luck(storm, name)
        self.life = 0
        self.journeys = 0
        self._make = make
        self._server = server
        self._storm = storm
        self._observe = observe
        self._tell = tell
        self._failed = failed
        self._worker: Runs | None = None
        self._task: asyncio.Task[None] | None = None
        self.paused_until = 0.0
        self._paused_in = 0
        self._graves: list[asyncio.Future[None]] = []

    @property
    def is_alive(self) -> bool:
        """Tell whether the worker runs."""
        return self._task is not None and not self._task.done()

    @property
    def is_ready(self) -> bool:
        """Tell whether the worker runs and has opened the streams it reads."""
        return self.is_alive and self._worker is not None and self._worker.is_ready()

    @property
    def is_away(self) -> bool:
        """Tell whether this worker may still act later: it is dead, paused, or one of its calls is under way."""
        return not self.is_alive or self.journeys > 0 or asyncio.get_running_loop().time() < self.paused_until

    @property
    def may_repeat(self) -> bool:
        """Tell whether it was paused in this life: it then resumes its pending work, even if another has done it."""
        return self.is_alive and self._paused_in == self.life

    def start(self) -> None:
        """Start the worker as after a reboot: with no state but what the server holds."""
        if self.is_alive:
            return
        if self.life:
            self._tell(f"{self.name} is back")
        self.life += 1
        self._worker = self._make(self)
        self._task = asyncio.get_running_loop().create_task(self._worker.run(asyncio.Event()), name=self.name)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if error is not None:
            self._failed(f"{self.name} died of {type(error).__name__}: {error}")

    def kill(self) -> None:
        """Kill the worker at once: no further command of this life reaches the server. It restarts later."""
        if self._task is None or self._task.done():
            return
        self.life += 1
        self._tell(f"{self.name} is killed")
        self._task.cancel()
        self._task = None
        asyncio.get_running_loop().call_later(self.luck.choose(self._storm.weather.absences_s), self.start)

    def pause(self, seconds: float) -> None:
        """Freeze the worker for a while; it then resumes as if nothing had happened."""
        self._tell(f"{self.name} is paused for {seconds:.1f} s")
        self.paused_until = asyncio.get_running_loop().time() + seconds
        self._paused_in = self.life

    def bus(self) -> Bus:
        """Return the connections of this life of the worker."""
        line = Line(self._server, self, self._observe)
        return Bus(line, line, line)

    async def outside(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that leaves the process: it may take long, and it lands even if the caller is gone by then.

        Raises: ``OSError`` if the connection is down, before or after the call has landed.
        """
        life = self.life
        await self.wake(life)
        loop = asyncio.get_running_loop()
        happens = self.luck.at_call()
        seconds = self.luck.choose(self._storm.weather.late_s)
        if happens.get(Fault.CALL_FAILED):
            self._tell(f"a call of {self.name} fails")
            raise ConnectionError(LINE_DOWN)

        async def travel() -> T:
            self.journeys += 1
            try:
                if happens.get(Fault.CALL_LATE):
                    self._tell(f"a call of {self.name} will land in {seconds:.1f} s")
                    await asyncio.sleep(seconds)
                return await call()
            finally:
                self.journeys -= 1

        journey = loop.create_task(travel())
        journey.add_done_callback(_ignore_failure)  # its caller may be gone
        answer = await asyncio.shield(journey)
        await self.wake(life)
        if happens.get(Fault.CALL_UNANSWERED):
            self._tell(f"the answer to a call of {self.name} is lost")
            raise ConnectionError(ANSWER_LOST)
        return answer

    async def wake(self, life: int) -> None:
        """Return when a worker of this life may continue: at once, after its pause, or never."""
        if self.paused_until:
            loop = asyncio.get_running_loop()
            while loop.time() < self.paused_until:  # noqa: ASYNC110  # time is virtual, and a pause may grow
                # A millisecond longer than asked: virtual time is rounded, and waking a moment early would not resume.
                await asyncio.sleep(self.paused_until - loop.time() + 0.001)
            self.paused_until = 0.0
        if self.life != life:
            self._graves.append(asyncio.get_running_loop().create_future())
            await self._graves[-1]  # a killed life does nothing more, not even fail

    def performing(self, participant: Participant) -> Participant:
        """Return the participant with handlers that sometimes raise before they do anything."""
        if Fault.HANDLER_FAILED not in self._storm.kinds:
            return participant
        fragile = Participant(participant.name, participant.begins_at, participant.retry)
        fragile.beginnings = participant.beginnings
        fragile.handlers = {name: self._fragile(handler) for name, handler in participant.handlers.items()}
        fragile.undos = {name: self._fragile(handler) for name, handler in participant.undos.items()}
        fragile.closes = {name: self._fragile(handler) for name, handler in participant.closes.items()}
        return fragile

    def _fragile(self, handler: Handler) -> Handler:
        function: Function = handler.function

        @wraps(function)
        async def performed(*args: object, **resources: object) -> Event | None:
            if self.luck.handler_fails():
                self._tell(f"{handler.name} fails in {self.name}")
                raise RuntimeError(HANDLER_FAILS)
            return await function(*args, **resources)

        return replace(handler, function=performed)


def _ignore_failure(task: asyncio.Task[T]) -> None:
    if not task.cancelled():
        task.exception()
