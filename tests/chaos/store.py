"""Faults of the server and of the wire to it. Each is lifted before the next one."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Mapping
from contextlib import suppress

from tests.chaos.faults import Fault, Kind
from tests.chaos.lane import Act
from tests.chaos.scene import CAST, Scene, now_ms
from tests.chaos.storm import Mishap, Squall
from tests.processes.until import until

_DOWN_S = (0.0, 1.5)
_WITHOUT_MEMORY_S = (0.3, 2.0)
_LATE_S = (0.05, 2.5)
_SQUALL_S = 4.0
_NOTICED_S = 4.0


class Store:
    """Strikes the server of a scene, and the wire."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene = scene
        self._chance = chance

    def acts(self) -> Mapping[Kind, Act]:
        """Return what there is to do, by kind."""
        return {
            Kind.SERVER_KILL: self.kill,
            Kind.LOST: lambda: self.squall(Kind.LOST, Mishap.LOST),
            Kind.RESET: lambda: self.squall(Kind.RESET, Mishap.RESET),
            Kind.DELAYED: self.delay,
            Kind.SCRIPT_FLUSH: self.flush_scripts,
            Kind.CLIENT_KILL: self.kill_clients,
            Kind.OUT_OF_MEMORY: self.run_out_of_memory,
        }

    async def kill(self) -> Fault:
        """Kill the server, and start it again on what it had written."""
        server, at = self._scene.server, now_ms()
        before = (await self._scene.info("server"))["run_id"]
        server.kill()
        code = server.wait()
        await asyncio.sleep(self._chance.uniform(*_DOWN_S))
        server.launch()
        await asyncio.to_thread(server.wait_ready)
        is_another = (await self._scene.info("server"))["run_id"] != before
        is_proven = is_another and code == -signal.SIGKILL
        return Fault(Kind.SERVER_KILL, "server", at, now_ms(), int(is_proven), f"it ended with {code}")

    async def squall(self, kind: Kind, mishap: Mishap) -> Fault:
        """Let some replies not arrive."""
        many = self._chance.randint(1, 6)
        squall = Squall(mishap, many, random.Random(self._chance.random()))
        at, self._scene.storm.squall = now_ms(), squall
        with suppress(TimeoutError):
            await asyncio.wait_for(squall.is_over.wait(), _SQUALL_S)
        self._scene.storm.squall = None
        return Fault(kind, "wire", at, now_ms(), squall.hits, f"{squall.hits} replies, {squall.dropped} bytes dropped")

    async def delay(self) -> Fault:
        """Hold up every reply for a while."""
        storm, at = self._scene.storm, now_ms()
        late, how_long = self._chance.uniform(*_LATE_S), self._chance.uniform(1.0, 2.5)
        storm.held, storm.delay_s = 0, late
        await asyncio.sleep(how_long)
        storm.delay_s = 0.0
        return Fault(Kind.DELAYED, "wire", at, now_ms(), storm.held, f"{storm.held} replies came {late:.2f} s late")

    async def flush_scripts(self) -> Fault:
        """Let the server forget the scripts; proven by those who then ask for one in vain."""
        at, before = now_ms(), await self._scene.refusals("NOSCRIPT")
        await self._scene.insist("SCRIPT", "FLUSH")
        missed = await self._more_refusals("NOSCRIPT", before)
        return Fault(Kind.SCRIPT_FLUSH, "server", at, now_ms(), missed, f"{missed} calls found no script")

    async def kill_clients(self) -> Fault:
        """Let the server close some connections of the processes."""
        at = now_ms()
        lines = str(await self._scene.insist("CLIENT", "LIST", "TYPE", "normal")).splitlines()
        told = [dict(word.partition("=")[::2] for word in line.split()) for line in lines]
        ids = [each["id"] for each in told if _service(each.get("name", "")) in _SERVICES]
        chosen = self._chance.sample(ids, min(len(ids), self._chance.randint(2, 8)))
        replies = await self._scene.insist_all([("CLIENT", "KILL", "ID", each) for each in chosen])
        killed = sum(reply for reply in replies if isinstance(reply, int))
        return Fault(Kind.CLIENT_KILL, "server", at, now_ms(), killed, f"{killed} connections were closed")

    async def run_out_of_memory(self) -> Fault:
        """Let the server refuse every write for a while."""
        at, before = now_ms(), await self._scene.refusals("OOM")
        await self._scene.insist("CONFIG", "SET", "maxmemory", "1")
        try:
            await asyncio.sleep(self._chance.uniform(*_WITHOUT_MEMORY_S))
            refused = await self._more_refusals("OOM", before)
        finally:
            await self._scene.insist("CONFIG", "SET", "maxmemory", "0")
        return Fault(Kind.OUT_OF_MEMORY, "server", at, now_ms(), refused, f"{refused} writes were refused")

    async def _more_refusals(self, code: str, before: int) -> int:
        """Return how many more refusals there were, waiting for the first of them for a while."""

        async def ask() -> int:
            return await self._scene.refusals(code) - before

        try:
            await until(ask, code, _NOTICED_S, every_s=0.1)
        except AssertionError:
            return 0
        return await ask()


_SERVICES = frozenset(name.partition("/")[0] for name in CAST)


def _service(connection: str) -> str:
    """Return whose a connection is by its name: key prefix, service, number, host and process."""
    return connection.partition("/")[0].rpartition(":")[2]
