"""One run: the customers order, two lanes of faults go on beside them, then calm and the audit."""

from __future__ import annotations

import asyncio
import os
import platform
import random
import signal
import time
from pathlib import Path

from tests.chaos.calm import at_rest, audit, lives
from tests.chaos.customers import Customers
from tests.chaos.faults import Fault
from tests.chaos.forger import Forger
from tests.chaos.lane import lane
from tests.chaos.processes import Processes
from tests.chaos.scene import Scene, now_ms, played
from tests.chaos.signs import Signs
from tests.chaos.store import Store
from tests.chaos.summary import Summary

BOUND_S = 1200.0  # beside twice the time the orders take


async def run(data_dir: Path, sagas: int, seed: int, rate: float) -> Summary:
    """Play one run; whatever ends it early ends every process, too.

    Raises: ``TimeoutError`` if it takes too long; whatever a part of it raises, in a group.
    """
    task = asyncio.current_task()
    assert task is not None  # a coroutine always runs in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with asyncio.timeout(2 * sagas / rate + BOUND_S), played(data_dir) as scene:
        return await _storm(scene, sagas, seed, rate)


async def _storm(scene: Scene, sagas: int, seed: int, rate: float) -> Summary:
    began_ms, began, faults = now_ms(), time.monotonic(), list[Fault]()

    def note(fault: Fault) -> None:
        faults.append(fault)
        print(fault.line(began_ms), flush=True)

    customers, signs, stop = Customers(scene.crew, seed), Signs(scene), asyncio.Event()
    processes = Processes(scene, random.Random(f"{seed} processes"))
    chance = random.Random(f"{seed} store")
    store, forger = Store(scene, chance), Forger(scene, chance)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(signs.follow(stop))
        tasks.create_task(lane(processes.acts(), random.Random(f"{seed} first lane"), stop, note))
        acts = {**store.acts(), **forger.acts()}
        tasks.create_task(lane(acts, random.Random(f"{seed} second lane"), stop, note))
        try:
            await customers.order(sagas, rate)
        finally:
            stop.set()
    ordered = time.monotonic() - began
    print(f"+{ordered:7.1f} s  calm", flush=True)
    unrest = await at_rest(scene, customers.placed)
    await signs.look()
    return Summary(
        seed=seed, sagas=sagas, rate=rate, about=await _about(scene), ordered_s=ordered, faults=tuple(faults),
        of_the_provider=signs.of_the_provider(), signs=await signs.told(processes.claims),
        lives=await lives(scene, customers.placed), cancelled=customers.cancelled, unrest=unrest,
        verdict=await audit(scene, customers.placed), took_s=time.monotonic() - began,
    )  # fmt: skip


async def _about(scene: Scene) -> str:
    told = await scene.info("server")
    server = f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told['redis_version']}"
    return f"{server} (always), Python {platform.python_version()}, {os.cpu_count()} cores"
