"""An asyncio event loop whose clock jumps to the next timer: hours pass in microseconds.

It owns time and the order of tasks, and makes both exactly repeatable; it must never open a socket, start a
thread or read the machine's clock.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

from sagastream.errors import SagastreamError

T = TypeVar("T")

_NO_SOCKETS = "no sockets in virtual time; give the handler what it calls as a resource of the scenario"
DEFAULT_START = 1_767_225_600_000  # 2026-01-01T00:00:00Z in milliseconds


class Deadlock(SagastreamError):
    """All tasks wait and no timer is set, so nothing can ever happen again; the message names the tasks."""


class OrderedTask(asyncio.Task[T]):
    """A task whose hash is its number of creation.

    asyncio keeps tasks in sets (``TaskGroup``, ``wait``). With the usual hash, the address, the order in
    which the tasks of such a set are cancelled would differ from run to run.
    """

    def __init__(
        self,
        coro: Coroutine[Any, Any, T],
        *,
        order: int,
        loop: asyncio.AbstractEventLoop,
        name: str,
        context: Context | None,
    ) -> None:
        self.order = order  # first: the base constructor already adds the task to a set
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.order


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """Runs coroutines in virtual time, starting at an instant given in epoch milliseconds."""

    def __init__(self, start: int = DEFAULT_START) -> None:
        self._micros = 0
        self._start = start
        self._tasks_created = 0
        self._timers_set = 0
        self._alarms_set = 0
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._alarms: list[tuple[int, int, Callable[[], object]]] = []
        self.steps = 0
        super().__init__()
        self.slow_callback_duration = float("inf")

    def time(self) -> float:
        """Return the virtual seconds since this loop was created."""
        return self._micros / 1_000_000

    def epoch_ms(self) -> int:
        """Return the virtual wall clock in epoch milliseconds."""
        return self._start + self._micros // 1000

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """Queue a callback after those already queued; unlike the base class, ignore other threads: there are none."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]  # the base class's queue
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Set a timer at an instant of ``time()``; timers of one instant fire in the order they were set."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_set += 1
        heapq.heappush(self._timers, (round(when * 1_000_000), self._timers_set, timer))
        return timer

    def at_step(self, step: int, call: Callable[[], object]) -> None:
        """Call a function between two steps of the tasks, after the given number of steps."""
        self._alarms_set += 1
        heapq.heappush(self._alarms, (step, self._alarms_set, call))

    def stand_still(self, seconds: float) -> None:
        """Let time pass in which no task runs, as in a process that is stopped and resumed."""
        self._micros += round(seconds * 1_000_000)

    def create_task(
        self,
        coro: Any,  # noqa: ANN401  # the base class declares no narrower type that every version shares
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        """Schedule a coroutine; the names of unnamed tasks are counted per loop, not per process."""
        self._tasks_created += 1
        title = f"task-{self._tasks_created}" if name is None else str(name)
        return OrderedTask(coro, order=self._tasks_created, loop=self, name=title, context=context)

    def run_in_executor(self, executor: object, func: object, *args: object) -> asyncio.Future[Any]:
        """Refuse: a thread would bring back real time."""
        raise RuntimeError(f"no threads in virtual time, so {_name(func)} cannot run here; call it directly")

    async def create_connection(self, *args: object, **kwargs: object) -> Any:  # noqa: ANN401  # as the base class
        """Refuse: no server answers in virtual time."""
        raise RuntimeError(_NO_SOCKETS)

    async def getaddrinfo(self, *args: object, **kwargs: object) -> Any:  # noqa: ANN401  # as the base class
        """Refuse: a name is only looked up to open a socket."""
        raise RuntimeError(_NO_SOCKETS)

    def pending_tasks(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that have not ended, oldest first."""
        return sorted(asyncio.all_tasks(self), key=hash)

    def _run_once(self) -> None:
        """Run every ready step; if there is none, advance to the next timer.

        Replaces the base class's method: there is no selector and no waiting, and what is ready does not depend on the
        resolution of any clock.
        """
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]  # the base class's queue
        timers, alarms = self._timers, self._alarms
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not ready and not self._stopping:  # type: ignore[attr-defined]  # as the base class keeps it
            if not timers:
                raise Deadlock(self._who_waits())
            self._micros = max(self._micros, timers[0][0])
        while timers and timers[0][0] <= self._micros:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.cancelled():
                continue
            self.steps += 1
            while alarms and alarms[0][0] <= self.steps:
                heapq.heappop(alarms)[2]()
            handle._run()

    def _who_waits(self) -> str:
        lines = [f"  {task.get_name()}: {_place(task)}" for task in self.pending_tasks()]
        return "\n".join(["every task waits and no timer is set; waiting are:", *lines])

    def _process_events(self, event_list: list[object]) -> None:
        """Do nothing: there is no I/O."""

    def _write_to_self(self) -> None:
        """Do nothing: nothing sleeps in a system call, so nothing needs waking."""


def run(main: Coroutine[Any, Any, T], *, start: int = DEFAULT_START) -> T:
    """Run ``main`` to its end in virtual time that begins at ``start``, and end the tasks it leaves behind.

    Units: ``start`` is epoch milliseconds.
    Raises: Deadlock when nothing can happen any more; whatever ``main`` raises.
    """
    loop = VirtualTimeLoop(start)
    try:
        return loop.run_until_complete(main)
    finally:
        close(loop)


def close(loop: VirtualTimeLoop) -> None:
    """End the tasks that a loop left behind, oldest first, and close it."""
    try:
        _end_tasks(loop)
        if loop._asyncgens:  # type: ignore[attr-defined]  # skips a task per run where there is nothing to end
            loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _end_tasks(loop: VirtualTimeLoop) -> None:
    left = loop.pending_tasks()
    if not left:
        return
    for task in left:
        task.cancel()
    loop.run_until_complete(_all_ended(left))
    for task in left:
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {"message": "a task failed while it was ended", "exception": task.exception(), "task": task}
            )


async def _all_ended(tasks: list[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _name(func: object) -> str:
    """Return the readable name of a function, even of one in a ``partial`` that waits to run in a thread."""
    while isinstance(func, partial):
        func = func.args[0] if func.args and callable(func.args[0]) else func.func
    return str(getattr(func, "__qualname__", func))


def _place(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    coroutine = getattr(task.get_coro(), "__qualname__", repr(task.get_coro()))
    if not frames:
        return str(coroutine)
    return f"{coroutine}, line {frames[0].f_lineno} of {frames[0].f_code.co_filename}"
