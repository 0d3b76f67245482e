"""A travel agency whose desk and hotel use the library, and whose bank is the program of a document."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sagastream import Bus, Consumer, Entrance, Participant, Settings
from sagastream.audit.scene import Scene
from sagastream.audit.whole import audit
from sagastream.clock import server_ms
from sagastream.coordinator.records import Records
from sagastream.coordinator.repair import Repairs
from sagastream.coordinator.tracker import Coordinator
from sagastream.envelope import Envelope, decode, flattened, instant
from sagastream.event import (
    BarRequested,
    Event,
    LedgerLost,
    RetryRequested,
    StepBarred,
    StepGaveUp,
    StepRequest,
    UndoRequested,
)
from sagastream.keys import COORDINATOR, Keys
from sagastream.offspring import dies_with_parent
from sagastream.replies import entries, listed, named
from sagastream.saga.repair import Act, Action
from sagastream.service import Worker
from sagastream.telemetry import Telemetry
from tests.processes.child import environment
from tests.trip import TRIP, CardCharged, CardDeclined, CardRefunded, RoomHeld, TripBooked, desk, hotel

BOUND_S = 30
YEARS_AGO = 1_000_000_000_000


@dataclass
class Agency:
    """Trips of which the desk and the hotel use the library, and the bank the document."""

    bus: Bus
    settings: Settings
    program: Path

    @property
    def keys(self) -> Keys:
        return Keys(self.settings.key_prefix, COORDINATOR)

    @contextmanager
    def bank(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the documented participant around the block, and end it as a crash would."""
        place = urlsplit(self.settings.redis_url or "")
        told = environment(
            self.program.parent, KEY_PREFIX=self.settings.key_prefix, REDIS_HOST=str(place.hostname),
            REDIS_PORT=str(place.port),
        )  # fmt: skip
        del told["PYTHONPATH"]  # nothing of this checkout can be imported there
        log = self.program.with_suffix(".log")
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-I", self.program.name], cwd=self.program.parent, env=told, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, preexec_fn=dies_with_parent(),
            )  # fmt: skip
        try:
            yield process
            assert process.poll() is None, log.read_text()
        finally:
            process.kill()
            process.wait()

    def coordinator(self) -> Worker:
        return Coordinator([TRIP], bus=self.bus, settings=self.settings, telemetry=Telemetry(COORDINATOR))

    def consumer(self, participant: Participant) -> Worker:
        return Consumer(participant, bus=self.bus, settings=self.settings, telemetry=Telemetry(participant.name))

    @asynccontextmanager
    async def working(self, *workers: Worker) -> AsyncIterator[None]:
        """Run these workers around the block."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(worker.run(stop)) for worker in workers]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    def everybody_else(self) -> AbstractAsyncContextManager[None]:
        """Run the coordinator, the desk and the hotel around the block."""
        return self.working(self.coordinator(), self.consumer(desk), self.consumer(hotel))

    async def book(self, key: str, card: str = "good") -> str:
        entrance = Entrance(desk, bus=self.bus, settings=self.settings)
        return (await entrance.begin(TripBooked(nights=1, card=card), key=key)).saga_id

    async def turn_back(self, saga_id: str) -> None:
        done = await Repairs([TRIP], bus=self.bus, settings=self.settings).act(
            saga_id, Action(Act.COMPENSATE, "ann", "the customer called")
        )
        assert done is not None

    async def status(self, saga_id: str) -> str:
        record = await Records(self.bus, self.keys).load(saga_id)
        return str(record.status) if record is not None else ""

    async def reaches(self, saga_id: str, status: str) -> None:
        async with asyncio.timeout(BOUND_S):
            while await self.status(saga_id) != status:  # noqa: ASYNC110  # a process of its own changes it
                await asyncio.sleep(0.02)

    async def entries(self, kind: type[Event], by: str, saga_id: str) -> list[dict[str, str]]:
        """Return the events of one type and saga as they stand on their publisher's stream."""
        entries = await self._entries(self.keys.of(by).events(kind.type_name()))
        return [fields for _, fields in entries if fields["correlationid"] == saga_id]

    async def comes(self, kind: type[Event], by: str, saga_id: str, times: int = 1) -> list[dict[str, str]]:
        async with asyncio.timeout(BOUND_S):
            while len(found := await self.entries(kind, by, saga_id)) < times:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.02)
        return found

    async def tell(self, saga_id: str, told: str, number: int) -> None:
        """Tell the bank of a room that is held for a card, or ask it something, and wait until it has settled that."""
        what, _, how = told.partition(" ")
        asked: dict[str, type[StepRequest]] = {"undo": UndoRequested, "bar": BarRequested, "retry": RetryRequested}
        event: Event = RoomHeld(nights=1, card=what)
        stream = self.keys.of("hotel").events("RoomHeld")
        if what in asked:
            began = YEARS_AGO if how == "old" else await server_ms(self.bus.query)
            event = asked[what](step="CardCharged", seen="one" if how == "seen" else None, began=began)
            stream = self.keys.requests("bank")
        envelope = Envelope(
            id=f"{saga_id}-{number}", source=event.by, type=event.type_name(), subject=saga_id, saga_id=saga_id,
            cause="", initiator="", definition="trip", definition_version="1", data=event.payload(),
            time=instant(await server_ms(self.bus.query)),
        )  # fmt: skip
        entry = await self.bus.writer.execute("XADD", stream, "*", *envelope.fields())
        async with asyncio.timeout(BOUND_S):
            while not await self.has_settled(stream, str(entry)):  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.01)

    async def has_settled(self, stream: str, entry: str) -> bool:
        """Tell whether the bank has read a stream up to an entry and holds nothing of it."""
        reply = await self.bus.query.execute("XINFO", "GROUPS", stream)
        groups = map(named, listed(reply))
        return any(
            one["name"] == "bank" and one["last-delivered-id"] == entry and one["pending"] == "0" for one in groups
        )

    async def published(self, saga_id: str) -> list[tuple[str, str, str]]:
        """Return type, id and cause of all that the bank has published about a saga, in that order."""
        found = []
        for kind in (CardCharged, CardDeclined, CardRefunded, StepBarred, StepGaveUp, LedgerLost):
            for position, fields in await self._entries(self.keys.of("bank").events(kind.type_name())):
                decode(flattened(fields))
                if fields["correlationid"] == saga_id:
                    ms, _, nth = position.partition("-")
                    found.append((int(ms), int(nth), fields["type"], fields["id"], fields["causationid"]))
        return [(type, id, cause) for _, _, type, id, cause in sorted(found)]

    async def again(self, stream: str) -> None:
        """Publish the newest entry of a stream once more."""
        *_, (_, fields) = await self._entries(stream)
        await self.bus.writer.execute("XADD", stream, "*", *flattened(fields))

    async def is_true(self) -> bool:
        """Tell whether the auditor finds everything settled and nothing wrong, within a while; else fail with what."""
        scene = Scene(self.bus.query, self.settings, [TRIP], [desk, hotel], is_at_rest=True)
        ends_at = asyncio.get_running_loop().time() + BOUND_S / 3
        while not (found := await audit(scene)).is_clean:
            assert asyncio.get_running_loop().time() < ends_at, found.findings.differences
            await asyncio.sleep(0.1)
        return True

    async def _entries(self, stream: str) -> list[tuple[str, dict[str, str]]]:
        return list(entries(await self.bus.query.execute("XRANGE", stream, "-", "+")))
