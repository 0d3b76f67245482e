"""Trips of every kind, played by the real engine on the in-memory server, and hands to corrupt what they left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import timedelta

from sagastream.audit import Audited, Scene, audit
from sagastream.bus import Reply
from sagastream.envelope import pairs
from sagastream.replies import listed, named, texts
from sagastream.testing.memory_connection import MemoryConnection
from tests.trip import TRIP, TripBooked, bank, desk, hotel
from tests.unit.core.world import World

EVERYBODY = (desk, hotel, bank)
SOON = timedelta(minutes=5)


class Trips:
    """A world in which trips have ended in every way; ``ids`` names one saga of each."""

    def __init__(self) -> None:
        self.world = World(sweep_s=1.0)
        self.server = self.world.server
        self.ids: dict[str, str] = {}

    async def play(self) -> None:
        """Play trips that are done, declined, refused and too slow, and deliver events more than once."""
        world = self.world
        world.call("HSET", "hotel", "rooms", "free", 50)
        async with AsyncExitStack() as running:
            for participant in (desk, hotel):
                await running.enter_async_context(world.running(world.consumer(participant)))
            await running.enter_async_context(world.running(world.coordinator(TRIP)))
            await running.enter_async_context(world.running(world.coordinator(TRIP, ordinal=2)))
            self.ids["slow"] = await self.begin("slow", TripBooked(nights=1))
            await asyncio.sleep(200)
            assert world.status(self.ids["slow"]) == "Compensating"
            await running.enter_async_context(world.running(world.consumer(bank)))
            self.ids["done"] = await self.begin("done", TripBooked(nights=2))
            self.ids["declined"] = await self.begin("declined", TripBooked(nights=3, card="bad"))
            self.ids["refused"] = await self.begin("refused", TripBooked(nights=99))
            for number in range(5):
                await self.begin(f"more-{number}", TripBooked(nights=1))
            await world.until(lambda: all(world.status(each) in ENDS for each in self.ids.values()), SOON)
            await world.quiet()
            for stream in world.streams():
                entries = self.entries(stream)
                if ":events:Saga" not in stream and entries:
                    self.server.call("XADD", stream, "*", *entries[0][1])
            await world.quiet()
            await asyncio.sleep(60)

    async def leave_one_running(self) -> None:
        """Begin a trip that nobody but the coordinator takes notice of."""
        async with self.world.running(self.world.coordinator(TRIP)):
            self.ids["running"] = await self.begin("running", TripBooked(nights=1))
            await asyncio.sleep(10)

    async def audited(self, *, at_rest: bool = False, acknowledged: Iterable[str] = ()) -> Audited:
        """Audit what is there now."""
        scene = Scene(MemoryConnection(self.server), self.world.settings, [TRIP], EVERYBODY, is_at_rest=at_rest)
        return await audit(scene, acknowledged=acknowledged)

    def call(self, command: str, owner: str, key: str, *arguments: str | int) -> Reply:
        """Send a command about an owner's key."""
        return self.world.call(command, owner, key, *arguments)

    def entries(self, stream: str) -> list[tuple[str, list[str]]]:
        """Return a stream's entries as they are."""
        return [
            (str(at), texts(flat)) for at, flat in map(listed, listed(self.server.call("XRANGE", stream, "-", "+")))
        ]

    def entry(self, owner: str, kind: str, saga: str) -> tuple[str, dict[str, str]]:
        """Return a saga's event of one type: its place and its fields."""
        for entry_id, flat in self.entries(self.world.keys.of(owner).events(kind)):
            fields = pairs(flat)
            if fields["correlationid"] == self.ids[saga]:
                return entry_id, fields
        raise LookupError(f"{saga} has no {kind}")

    def forge(self, owner: str, kind: str, saga: str, **attributes: str) -> None:
        """Append a copy of a saga's event with other attributes."""
        _, fields = self.entry(owner, kind, saga)
        self.append(owner, attributes.get("type", kind), {**fields, **attributes})

    def append(self, owner: str, kind: str, fields: dict[str, str]) -> None:
        """Append an event, and let everybody have read it."""
        self.world.append(owner, kind, fields)
        stream = self.world.keys.of(owner).events(kind)
        self._read(stream)

    def unpublish(self, owner: str, kind: str, saga: str) -> None:
        """Make a stream one in which a saga's event never stood."""
        gone, _ = self.entry(owner, kind, saga)
        stream = self.world.keys.of(owner).events(kind)
        kept = [(at, flat) for at, flat in self.entries(stream) if at != gone and self.ids[saga] not in flat]
        self.server.call("DEL", stream)
        for at, flat in kept:
            self.server.call("XADD", stream, at, *flat)
        self.server.call("XGROUP", "CREATE", stream, "saga", "$", "MKSTREAM")

    def rewrite_history(self, saga: str, notes: list[dict[str, object]]) -> None:
        """Write a saga's history anew."""
        self.call("DEL", "saga", f"history:{self.ids[saga]}")
        self.call("RPUSH", "saga", f"history:{self.ids[saga]}", *(json.dumps(note) for note in notes))

    def _read(self, stream: str) -> None:
        last = self.entries(stream)[-1][0]
        for group in map(named, listed(self.server.call("XINFO", "GROUPS", stream))):
            self.server.call("XGROUP", "SETID", stream, group["name"], last)

    async def begin(self, key: str, trip: TripBooked) -> str:
        """Begin a trip and return its saga."""
        return (await self.world.entrance(desk).begin(trip, key=key, initiator="customer-1")).saga_id


ENDS = ("Completed", "Compensated", "Failed")


async def played() -> Trips:
    """Return trips of every kind, all of which have ended."""
    trips = Trips()
    await trips.play()
    return trips
