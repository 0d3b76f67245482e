"""Virtual time passes at once, in one order, and stops loudly when nothing can happen."""

from __future__ import annotations

import asyncio
import time

import pytest

from sagastream.testing.virtual_time import Deadlock, VirtualTimeLoop, run

HOUR = 3600.0


def the_loop() -> VirtualTimeLoop:
    """Return the running loop as what it is here."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


def test_a_day_passes_at_once() -> None:
    """Sleeping costs no real time, and the wall clock moves by exactly what was slept."""

    async def main() -> int:
        await asyncio.sleep(24 * HOUR)
        await asyncio.sleep(0.57)
        return the_loop().epoch_ms()

    began = time.monotonic()
    ended_at = run(main(), start=1_000_000)

    assert ended_at == 1_000_000 + 86_400_000 + 570
    assert time.monotonic() - began < 5


def test_timers_fire_in_the_order_of_their_instants() -> None:
    """The clock never passes a timer that is still to fire."""
    seen: list[tuple[str, float]] = []

    async def nap(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, the_loop().time()))

    async def main() -> None:
        await asyncio.gather(nap("late", 3), nap("early", 1), nap("middle", 2))

    run(main())

    assert seen == [("early", 1.0), ("middle", 2.0), ("late", 3.0)]


def test_waiting_for_nothing_is_a_deadlock_that_names_the_waiting_task() -> None:
    """A program that can never go on raises instead of hanging."""

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.create_task(wait_for_ever(), name="lonely")

    with pytest.raises(Deadlock, match=r"lonely: .*wait_for_ever"):
        run(main())


def test_a_time_out_is_virtual_too() -> None:
    """``asyncio.timeout`` follows the virtual clock."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(HOUR):
                await asyncio.Event().wait()
        return the_loop().time()

    assert run(main()) == HOUR


def test_tasks_left_behind_are_ended_oldest_first() -> None:
    """What ``main`` did not wait for is cancelled, in order, and may clean up in virtual time."""
    ended: list[int] = []

    async def left_behind(number: int) -> None:
        try:
            await asyncio.sleep(HOUR)
        finally:
            await asyncio.sleep(1)
            ended.append(number)

    async def main() -> None:
        tasks = [asyncio.create_task(left_behind(number)) for number in range(20)]
        await asyncio.sleep(1)
        assert len(tasks) == 20

    run(main())

    assert ended == list(range(20))


def test_a_failing_task_group_cancels_in_the_same_order_every_time() -> None:
    """Sets of tasks are walked by number, not by address."""

    async def main() -> list[int]:
        ended: list[int] = []

        async def member(number: int) -> None:
            try:
                await asyncio.sleep(HOUR)
            finally:
                ended.append(number)

        async def fail() -> None:
            await asyncio.sleep(1)
            raise ValueError

        async def all_together() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(member(number))
                group.create_task(fail())

        with pytest.raises(ExceptionGroup):
            await all_together()
        return ended

    first = run(main())

    assert first == run(main()) == run(main())


def test_unnamed_tasks_are_counted_per_run() -> None:
    """The second run in a process names its tasks like the first."""

    async def main() -> list[str]:
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(2)]
        await asyncio.gather(*tasks)
        return [task.get_name() for task in tasks]

    assert run(main()) == run(main()) == ["task-2", "task-3"]


def test_threads_are_refused() -> None:
    """Real time cannot come in through an executor."""

    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, time.monotonic)

    with pytest.raises(RuntimeError, match="no threads in virtual time"):
        run(main())


def test_a_thread_is_refused_by_the_name_of_what_would_run_in_it() -> None:
    """The wrapping of ``to_thread`` tells nobody anything, and it is another one at every call."""

    async def wait() -> None:
        await asyncio.to_thread(time.sleep, 1)

    with pytest.raises(RuntimeError, match=r"^no threads in virtual time, so sleep cannot run here"):
        run(wait())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_sockets_are_refused(host: str) -> None:
    """By an error that says what to do, not by one of the base class, or of threads that look up names."""

    async def connect() -> None:
        await asyncio.open_connection(host, 80)

    with pytest.raises(RuntimeError, match="no sockets in virtual time; give the handler what it calls as a resource"):
        run(connect())


def test_a_loop_costs_less_than_a_tenth_of_a_millisecond() -> None:
    """Twenty thousand simulated worlds each get a loop of their own."""
    began = time.process_time()
    for _ in range(1000):
        VirtualTimeLoop().close()

    assert (time.process_time() - began) / 1000 < 0.0005, "five times the target, for slow machines"
