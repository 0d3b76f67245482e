"""Faults of processes: killed, stopped and continued, or read out of order. Each is lifted before the next one."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Mapping
from pathlib import Path

from sagastream.bus import Reply
from sagastream.errors import ReplyError
from sagastream.keys import COORDINATOR as SAGA
from sagastream.keys import Keys
from tests.chaos.faults import Fault, Kind
from tests.chaos.lane import Act
from tests.chaos.scene import CAST, CLAIM_IDLE_S, COORDINATORS, Scene, consumer_of, now_ms, streams_of
from tests.processes.crew import PROVIDER
from tests.processes.shop import PREFIX

_RESTART_S = (0.0, 2.0)
_FROZEN_S = (0.5, 5.0)
_TAKEN_OVER = (2.2, 3.5)  # in times of what a message may lie: others look for such messages at half that pace
_LOOK_S = 0.3
_SHARED = [name for name in CAST if f"{name.partition('/')[0]}/2" in CAST]
_DELIVERED_S = 0.8  # after this a frozen reader has been handed what it had asked for
_ATTEMPTS = 8  # to stop a reader that was handed something
_AHEAD_S = 1.0
_LATE = (("order", "OrderCreated"), ("stock", "StockReserved"), ("payment", "PaymentProcessed"))


class Processes:
    """Strikes the processes of a scene. ``claims`` counts entries that a living consumer took from a frozen one."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene = scene
        self._chance = chance
        self._frozen = 0
        self.claims = 0

    def acts(self) -> Mapping[Kind, Act]:
        """Return what there is to do, by kind."""
        return {
            Kind.KILL: self.kill,
            Kind.PROVIDER_KILL: self.kill_provider,
            Kind.FREEZE: self.freeze,
            Kind.REORDERED: self.read_out_of_order,
        }

    async def kill(self) -> Fault:
        """Kill any process but the provider, and start it again some time later."""
        return await self._kill(Kind.KILL, self._chance.choice([name for name in CAST if name != PROVIDER]))

    async def kill_provider(self) -> Fault:
        """Kill the provider, and start it again some time later."""
        return await self._kill(Kind.PROVIDER_KILL, PROVIDER)

    async def _kill(self, kind: Kind, name: str) -> Fault:
        at = now_ms()
        crew = self._scene.crew
        crew.kill(name)
        code = crew.exit_code(name)
        await asyncio.sleep(self._chance.uniform(*_RESTART_S))
        await crew.start(name)
        return Fault(kind, name, at, now_ms(), int(code == -signal.SIGKILL), f"it ended with {code}")

    async def freeze(self) -> Fault:
        """Stop a process in its tracks; whoever shares its group takes over what it holds, if that takes long enough.

        Of two such faults at least one strikes a process that shares its group, while it holds something if that can
        be, and for long enough.
        """
        name, how_long, attempts = self._chance.choice(CAST), self._chance.uniform(*_FROZEN_S), 1
        self._frozen += 1
        if self._frozen % 2:
            name, how_long = self._chance.choice(_SHARED), CLAIM_IDLE_S * self._chance.uniform(*_TAKEN_OVER)
            attempts = _ATTEMPTS
        at, held = now_ms(), set[tuple[str, str]]()
        try:
            await self._stop(name, attempts)
            over = asyncio.get_running_loop().time() + how_long
            while asyncio.get_running_loop().time() < over:
                await asyncio.sleep(_LOOK_S)
                held |= await self._held(name)
            state = _state(self._scene.crew.pid(name))
            # It cannot have acknowledged them itself: what it holds no longer was taken from it.
            taken = len(held - await self._held(name))
        finally:
            self._scene.crew.thaw(name)
        self.claims += taken
        proof = f"its state was {state!r}; {taken} of {len(held)} entries were taken over"
        return Fault(Kind.FREEZE, name, at, now_ms(), int(state == "T"), proof)

    async def _stop(self, name: str, attempts: int) -> None:
        """Stop a process; where it holds nothing then, let it go on and stop it again, so many times in all."""
        for attempt in range(attempts):
            if attempt:
                self._scene.crew.thaw(name)
                await asyncio.sleep(self._chance.uniform(0.0, _LOOK_S))
            self._scene.crew.freeze(name)
            if attempts > 1:
                await asyncio.sleep(_DELIVERED_S)
                if await self._held(name):
                    return

    async def read_out_of_order(self) -> Fault:
        """Let the coordinators skip the entries of one stream, read what followed from them, and only then read them.

        Entries are neither removed nor copied: their group's position is set forward and, a second later, back.
        """
        owner, type_name = self._chance.choice(_LATE)
        stream = Keys(PREFIX, owner).events(type_name)
        scene = self._scene
        at = now_ms()
        for name in COORDINATORS:
            scene.crew.freeze(name)
        try:
            await asyncio.sleep(2 * _DELIVERED_S)
            position = (await scene.group(stream, SAGA)).get("last-delivered-id", "0-0")
            skipped = _ids(await scene.insist("XRANGE", stream, f"({position}", "+"))
            if skipped:
                await scene.insist("XGROUP", "SETID", stream, SAGA, skipped[-1])
        finally:
            for name in COORDINATORS:
                scene.crew.thaw(name)
        if skipped:
            await asyncio.sleep(_AHEAD_S)
            await scene.insist("XGROUP", "SETID", stream, SAGA, position)
        return Fault(Kind.REORDERED, stream, at, now_ms(), len(skipped), f"{len(skipped)} entries were read late")

    async def _held(self, name: str) -> set[tuple[str, str]]:
        """Return what a process has been given and has not acknowledged."""
        reads = consumer_of(name)
        if reads is None:
            return set()
        group, consumer = reads
        streams = streams_of(group)
        replies = await self._scene.insist_all(
            [("XPENDING", stream, group, "-", "+", 500, consumer) for stream in streams]
        )
        return {
            (stream, entry)
            for stream, reply in zip(streams, replies, strict=True)
            if not isinstance(reply, ReplyError)
            for entry in _ids(reply)
        }


def _state(pid: int) -> str:
    """Return the letter by which the system tells what a process does; T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]


def _ids(reply: Reply) -> list[str]:
    return [str(entry[0]) for entry in reply if isinstance(entry, list)] if isinstance(reply, list) else []
