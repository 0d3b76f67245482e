"""A release that takes a step away and moves the pivot, rolled out, taken back and rolled out again, by kill -9."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from sagastream import Bus, Entrance, Settings
from sagastream.audit import Scene, audit
from sagastream.bus import connect
from sagastream.coordinator.records import Records
from sagastream.embedded import EmbeddedServer
from sagastream.keys import COORDINATOR, Keys
from sagastream.ports import free_port
from tests.processes.child import Child, environment
from tests.processes.journey import TABLES, CancellationWanted, TripBooked, TripConfirmed, TripOrdered, cast
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
SERVICES = ("coordinator", "hotel", "insurer", "bank", "desk", "mailer")
FORWARD, BACK = SERVICES, tuple(reversed(SERVICES))
NUMBERS = {"older": "1", "newer": "2"}
CARDS = ("good", "good", "bad")
TRIPS = 12  # of each version before a service is replaced, and as many once it is of both releases
EFFECTS = {"hotel": "rooms", "insurer": "insurances", "bank": "charges", "mailer": "letters"}


@dataclass
class Journeys:
    """Processes of two releases on one server, and the trips that were begun meanwhile, with their versions."""

    bus: Bus
    settings: Settings
    data_dir: Path
    trips: dict[str, int] = field(default_factory=dict)
    _children: dict[tuple[str, str], Child] = field(default_factory=dict)
    _keys: Iterator[int] = field(default_factory=itertools.count)

    async def start(self, name: str, release: str) -> None:
        """Start a process and wait until it works."""
        port, told = free_port(), self.settings.redis_url or ""
        surroundings = environment(
            self.data_dir, REDIS_URL=told, CONSUMER=NUMBERS[release], RELEASE=release, CLAIM_IDLE="1", BLOCK="0.2",
            BATCH="20",
        )  # fmt: skip
        words = ["service", "tests.processes.journey:service", "--name", name, "--port", str(port)]
        child = Child(words, surroundings, self.data_dir / f"{name}-{release}.log")
        self._children[name, release] = child

        async def is_ready() -> bool:
            assert child.is_running, child.said()
            try:
                async with httpx.AsyncClient(trust_env=False) as http:
                    return (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success
            except httpx.HTTPError:
                return False

        await until(is_ready, f"{name} of the {release} release works", 60)

    def kill(self, name: str, release: str) -> None:
        """End a process as a crash would."""
        self._children.pop((name, release)).kill()

    def kill_all(self) -> None:
        """End every process."""
        for each in list(self._children):
            self.kill(*each)

    async def replace(self, name: str, release: str) -> None:
        """Let a release take over from the other, while trips of both begin and some are called off."""
        before = "older" if release == "newer" else "newer"
        if name == "insurer":  # is the same in both
            return
        await self.begin()
        await self.start(name, release)
        await self.begin()
        self.kill(name, before)  # in the middle of them

    async def begin(self) -> None:
        """Begin trips of both versions, and call some of the older ones off through either release."""
        desks = {name: Entrance(cast(name)["desk"], bus=self.bus, settings=self.settings) for name in NUMBERS}
        for number in itertools.islice(self._keys, TRIPS):
            card = CARDS[number % len(CARDS)]
            older = await desks["older"].begin(TripBooked(card=card), key=f"booked-{number}")
            newer = await desks["newer"].begin(TripOrdered(card=card), key=f"ordered-{number}")
            self.trips |= {older.saga_id: 1, newer.saga_id: 2}
            if number % len(CARDS) == 1:
                desk = desks["older" if number % 2 else "newer"]
                await desk.bar(older.saga_id, TripConfirmed, because=CancellationWanted())

    async def ended(self) -> Counter[tuple[int, str]]:
        """Wait until every trip has ended; return how many did how, by the version they began with."""
        records = Records(self.bus, Keys(self.settings.key_prefix, COORDINATOR))

        async def ask() -> Counter[tuple[int, str]] | None:
            found = Counter[tuple[int, str]]()
            for saga_id in self.trips:
                record = await records.load(saga_id)
                found[record.progress.version if record else 0, record.status if record else ""] += 1
            is_over = all(status in ("Completed", "Compensated", "Failed") for _, status in found)
            self._latest = found
            return found if is_over else None

        try:
            return await until(ask, "every trip ends", 120, every_s=0.2)
        except AssertionError:
            raise AssertionError(f"not all ended: {self._latest}") from None

    async def effects(self) -> dict[str, int]:
        """Return what is in force."""
        found = {}
        for owner, what in EFFECTS.items():
            key = Keys(self.settings.key_prefix, owner).key("effects")
            found[what] = int(str(await self.bus.query.execute("HGET", key, what) or 0))
        return found


async def test_a_step_taken_away_and_a_moved_pivot_are_rolled_out_and_back_and_out_again(tmp_path: Path) -> None:
    """Every trip is wholly done or wholly undone by the table it began with, and the audit finds nothing."""
    with EmbeddedServer(tmp_path) as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        settings = Settings(redis_url=url)
        bus = connect(url, name="test", block=timedelta(0))
        journeys = Journeys(bus, settings, tmp_path)
        try:
            await asyncio.gather(*(journeys.start(name, "older") for name in SERVICES))
            for order, release in ((FORWARD, "newer"), (BACK, "older"), (FORWARD, "newer")):
                for name in order:
                    await journeys.replace(name, release)
            ended, effects = await journeys.ended(), await journeys.effects()
            scene = Scene(bus.query, settings, TABLES["newer"], list(cast("newer").values()), is_at_rest=True)

            async def is_clean() -> bool:
                return (await audit(scene)).is_clean

            try:
                await until(is_clean, "a clean audit", 20, every_s=0.5)
            except AssertionError:
                raise AssertionError((await audit(scene)).findings.differences) from None
        finally:
            journeys.kill_all()
            await bus.close()

    completed = {version: ended[version, "Completed"] for version in (1, 2)}
    assert Counter(version for version, _ in ended.elements()) == Counter(journeys.trips.values())
    assert min(completed.values()) > 0
    assert effects == {
        "rooms": sum(completed.values()), "insurances": completed[1], "charges": sum(completed.values()),
        "letters": sum(completed.values()),
    }  # fmt: skip
