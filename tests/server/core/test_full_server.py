"""A server whose memory is full takes nothing in, but lets things go: what nobody needs is removed there too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from sagastream.bus import Bus
from sagastream.coordinator.records import Records
from sagastream.coordinator.retention import Retention
from sagastream.entrance import Entrance
from sagastream.errors import ServerUnavailable
from sagastream.intake import Intake
from sagastream.keys import COORDINATOR, GROUPS, STREAMS, Keys
from sagastream.reader import Reader
from sagastream.runtime import Runtime
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings
from sagastream.transaction import Transactor
from sagastream.trimming import Keeping, Trimming
from tests.server.core.test_brooms import AT_ONCE, OLD, filled, read
from tests.trip import TRIP, TripBooked, bank, desk, hotel

BULKY = "x" * 20_000
ROOM = 2_000_000  # bytes that must go before anything is taken in again


@asynccontextmanager
async def full(bus: Bus, missing: int | None = None) -> AsyncIterator[None]:
    """Let the server be full: for good, or until so many bytes have gone."""
    used = str(await bus.query.execute("INFO", "memory")).partition("used_memory:")[2].split()[0]
    most = 1 if missing is None else int(used) - missing
    await bus.query.execute("CONFIG", "SET", "maxmemory", most)
    try:
        yield
    finally:
        await bus.query.execute("CONFIG", "SET", "maxmemory", 0)


async def test_a_shop_on_a_full_server_makes_room_and_goes_on_by_itself(url: str, bus: Bus, keys: Keys) -> None:
    """Nobody can commit, but what everybody has read goes; then what waited is done."""
    settings = Settings(key_prefix=keys.prefix, block=timedelta(milliseconds=200), stream_retention=timedelta(0))
    shop = ([hotel, bank, desk], [TRIP])
    async with Runtime(url, participants=shop[0], sagas=shop[1], settings=settings) as runtime:
        await runtime.change(hotel, lambda tx: tx.set("rooms", {"free": 10}))
        begun = await runtime.begin(TripBooked(nights=1), key="before")
        assert await runtime.ended(begun.saga_id) is Status.COMPLETED
    held = keys.of("hotel").events("RoomHeld")
    await bus.writer.pipeline([("XADD", held, "*", "data", BULKY)] * 400)
    await bus.writer.pipeline([("XGROUP", "SETID", held, group, "$") for group in ("bank", COORDINATOR)])
    entrance = Entrance(desk, bus=bus, settings=settings)
    waiting = await entrance.begin(TripBooked(nights=1), key="waits")

    async with full(bus, missing=ROOM):
        with pytest.raises(ServerUnavailable):
            await entrance.begin(TripBooked(nights=1), key="refused")
        async with Runtime(url, participants=shop[0], sagas=shop[1], settings=settings) as runtime:
            ended = await runtime.ended(waiting.saga_id, patience=timedelta(seconds=10))
        left = await bus.query.execute("XLEN", held)

    assert ended is Status.COMPLETED
    assert int(str(left)) < 100


async def test_a_full_server_does_not_keep_a_group_that_is_there_from_being_read(bus: Bus, keys: Keys) -> None:
    """Making one is refused even where it exists; one that is missing must wait."""
    streams = [keys.events("A"), keys.events("B")]
    await Intake(bus, keys, streams, consumer="one").open()

    async with full(bus):
        await Intake(bus, keys, streams, consumer="two").open()
        with pytest.raises(ServerUnavailable):
            await Intake(bus, keys, [*streams, keys.events("C")], consumer="two").open()
    await Intake(bus, keys, [*streams, keys.events("C")], consumer="two").open()

    registered = await bus.query.execute("HKEYS", keys.key(GROUPS))
    assert registered == [keys.events(name) for name in "ABC"]


async def test_what_cannot_be_remembered_does_not_keep_a_full_server_from_being_trimmed(bus: Bus, keys: Keys) -> None:
    """Streams and groups seen for the first time are written down once there is room."""
    stream = keys.key("events:StockReserved")
    await filled(bus, stream, "saga")
    await read(bus, stream, "saga", 500)
    trimming = Trimming(bus, keys, ["events:StockReserved", "events:Never"], AT_ONCE)

    async with full(bus):
        gone = await trimming.trim()
        assert await bus.query.execute("HGETALL", keys.key(STREAMS)) == []
    await trimming.trim()

    assert gone >= 400
    assert await bus.query.execute("HGET", keys.key(STREAMS), "events:StockReserved") == "saga"


async def test_a_full_server_forgets_no_group_it_was_told_of(bus: Bus, keys: Keys) -> None:
    """A group that is missing comes back and must find everything, full or not."""
    stream = keys.key("events:StockReserved")
    await filled(bus, stream, "saga", "payment")
    await read(bus, stream, "saga", 500)
    trimming = Trimming(bus, keys, ["events:StockReserved"], Keeping(read=timedelta(0), unread=timedelta(0)))
    await trimming.trim()
    await bus.writer.execute("XGROUP", "DESTROY", stream, "payment")

    async with full(bus):
        assert await trimming.trim() == 0

    assert await bus.query.execute("XLEN", stream) == len(OLD)


async def test_ended_sagas_are_removed_from_a_full_server(url: str, bus: Bus, keys: Keys) -> None:
    """What removes a saga deletes first, and a server that has begun to delete refuses nothing that belongs to it."""
    settings = Settings(key_prefix=keys.prefix, block=timedelta(milliseconds=200))
    async with Runtime(url, participants=[hotel, desk], sagas=[TRIP], settings=settings) as runtime:
        entrance = Entrance(desk, bus=bus, settings=settings)
        begun = [await entrance.begin(TripBooked(nights=99), key=f"trip-{number}") for number in range(3)]
        for saga in begun:
            assert await runtime.ended(saga.saga_id) is Status.FAILED
    saga = keys.of(COORDINATOR)
    reader = Reader(bus.query, saga)
    transactor = Transactor(bus.writer, saga, retention=timedelta(days=7))
    retention = Retention(reader, transactor, dict.fromkeys(Status, timedelta(0)))

    async with full(bus):
        assert await retention.sweep() == 3

    assert [await Records(bus, saga).load(each.saga_id) for each in begun] == [None] * 3
    assert await reader.read("counts", "removed|trip|Failed") == ["3"]
