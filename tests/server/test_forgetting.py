"""A group that is gone for good is forgotten wholly, and one that is not is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from sagastream import Bus, Consumer, Entrance, Settings, connect
from sagastream.cli import main
from sagastream.cli.exits import FAILED, NOT_CONFIRMED
from sagastream.envelope import derived_id
from sagastream.forgetting import CannotForget, forget
from sagastream.keys import ATTEMPTS, GROUPS, LETTERS, RETRIES, STREAMS, WEBHOOKS, Keys
from sagastream.telemetry import Telemetry
from tests.trip import TripBooked, desk, hotel

PUBLISHERS = ("saga", "hotel")
WATCH = timedelta(seconds=1)


@pytest.fixture
async def bus(server_url: str) -> AsyncIterator[Bus]:
    bus = connect(server_url, name="test", block=timedelta(seconds=1))
    yield bus
    await bus.close()


@pytest.fixture
async def keys(bus: Bus, request: pytest.FixtureRequest) -> Keys:
    """Return the names of a group that has read one of two events, failed at it, and put away a third long ago."""
    keys = Keys(f"{derived_id(request.node.name)[:8]}:", WEBHOOKS)
    stream = keys.of("saga").events("SagaFailed")
    run = bus.writer.execute
    for at in (1, 2):
        await run("XADD", stream, f"{at}-0", "type", "SagaFailed")
    await run("XGROUP", "CREATE", stream, WEBHOOKS, "0")
    await run("HSET", keys.key(GROUPS), stream, "$")
    await run("XREADGROUP", "GROUP", WEBHOOKS, "webhooks-1", "COUNT", 1, "STREAMS", stream, ">")
    await run("HSET", keys.key(ATTEMPTS), f"{stream}|1-0", 1)
    await run("ZADD", keys.key(RETRIES), 1, f"{stream}|1-0")
    await run("XADD", keys.key(LETTERS), "1-0", "reason", "why not")
    await run("HSET", keys.of("saga").key(STREAMS), "events:SagaFailed", f"books {WEBHOOKS}")
    await run("HSET", keys.of("saga").key(STREAMS), "events:SagaStarted", "books")
    return keys


async def test_nothing_is_kept_for_a_group_that_is_forgotten(bus: Bus, keys: Keys) -> None:
    """Its publisher waits for it no longer; its letters stay, for nobody has dealt with them."""
    stream = keys.of("saga").events("SagaFailed")

    assert await forget(bus, keys, PUBLISHERS, watch=WATCH) == [stream]

    assert await bus.query.execute("XINFO", "GROUPS", stream) == []
    noted = await bus.query.execute("HGETALL", keys.of("saga").key(STREAMS))
    assert noted == ["events:SagaFailed", "books", "events:SagaStarted", "books"]
    assert await bus.query.execute("EXISTS", keys.key(GROUPS), keys.key(ATTEMPTS), keys.key(RETRIES)) == 0
    assert await bus.query.execute("XLEN", keys.key(LETTERS)) == 1
    with pytest.raises(CannotForget, match="nobody called 'webhooks'"):
        await forget(bus, keys, PUBLISHERS, watch=WATCH)


async def test_a_group_that_is_at_work_makes_itself_again_and_misses_nothing(server_url: str, bus: Bus) -> None:
    """What comes meanwhile is handled, what was handled is not done again, and its publishers still wait for it."""
    settings = Settings(redis_url=server_url, key_prefix="at-work:", block=timedelta(seconds=0.1))
    keys = Keys(settings.key_prefix, hotel.name)
    await bus.writer.execute("HSET", keys.key("rooms"), "free", 10)
    desks, stop = Entrance(desk, bus=bus, settings=settings), asyncio.Event()
    working = asyncio.create_task(
        Consumer(hotel, bus=bus, settings=settings, telemetry=Telemetry(hotel.name)).run(stop)
    )
    held = keys.events("RoomHeld")

    async def are_held(count: int) -> None:
        async with asyncio.timeout(10):
            while await bus.query.execute("XLEN", held) != count:  # noqa: ASYNC110  # another task publishes them
                await asyncio.sleep(0.01)

    await desks.begin(TripBooked(nights=1), key="before")
    await are_held(1)
    with pytest.raises(CannotForget, match="'hotel' is at work: it has made itself again"):
        await forget(bus, keys, PUBLISHERS, watch=WATCH)
    await desks.begin(TripBooked(nights=1), key="after")
    await are_held(2)
    stop.set()
    await working

    assert await bus.query.execute("HGET", keys.key("rooms"), "free") == "8"
    assert await bus.query.execute("EXISTS", keys.key(GROUPS)) == 1


async def test_a_forgetting_that_died_half_way_is_finished_by_the_next(bus: Bus, keys: Keys) -> None:
    """The group is gone already, or even the stream; what was noted of it is not."""
    await bus.writer.execute("DEL", keys.of("saga").events("SagaFailed"))

    assert await forget(bus, keys, PUBLISHERS, watch=WATCH) == [keys.of("saga").events("SagaFailed")]

    assert await bus.query.execute("EXISTS", keys.key(GROUPS)) == 0


async def test_an_event_that_is_handled_no_more_is_forgotten_alone(bus: Bus, keys: Keys) -> None:
    """Its publisher waits for that reader no longer there; everything else that reader has stays."""
    failed, started = (keys.of("saga").events(name) for name in ("SagaFailed", "SagaStarted"))
    await bus.writer.execute("XGROUP", "CREATE", started, WEBHOOKS, "0", "MKSTREAM")
    await bus.writer.execute("HSET", keys.key(GROUPS), started, "$")

    assert await forget(bus, keys, PUBLISHERS, watch=WATCH, event="SagaFailed") == [failed]

    assert await bus.query.execute("XINFO", "GROUPS", failed) == []
    assert await bus.query.execute("XINFO", "GROUPS", started)
    assert await bus.query.execute("HGETALL", keys.key(GROUPS)) == [started, "$"]
    assert await bus.query.execute("HGET", keys.of("saga").key(STREAMS), "events:SagaFailed") == "books"
    with pytest.raises(CannotForget, match="nobody called 'webhooks' ever read SagaFailed here"):
        await forget(bus, keys, PUBLISHERS, watch=WATCH, event="SagaFailed")


def test_the_command_asks_first_and_refuses_who_is_needed(
    server_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", server_url)
    monkeypatch.setenv("KEY_PREFIX", "forgotten:")

    codes = [main(["forget", *words]) for words in (["stock", "--yes"], ["saga", "--yes"], ["webhooks"])]
    codes += [main(["forget", *words]) for words in (["stock", "OrderCreated", "--yes"], ["stock", "OrderConfirmed"])]
    unknown = [main(["forget", *words, "--yes"]) for words in (["webhooks"], ["stock", "OrderConfirmed"])]

    assert (codes, unknown) == ([FAILED, FAILED, NOT_CONFIRMED, FAILED, NOT_CONFIRMED], [FAILED, FAILED])
    said = capsys.readouterr().err
    assert "stock handles OrderCreated, which cannot be forgotten" in said
    assert "nobody called 'stock' ever read OrderConfirmed here" in said
    assert "stock takes part in saga" in said
    assert "nobody called 'webhooks' ever read a stream here" in said


async def test_nobody_is_forgotten_where_nobody_knows_who_is_needed(
    server_url: str, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outside of the project no table tells that a participant is needed, and nothing tells who publishes for it."""
    keys = Keys("elsewhere:", "stock")
    stream = keys.of("order").events("OrderCreated")
    await bus.writer.execute("XGROUP", "CREATE", stream, "stock", "0", "MKSTREAM")
    await bus.writer.execute("HSET", keys.key(GROUPS), stream, "0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", server_url)
    monkeypatch.setenv("KEY_PREFIX", keys.prefix)
    monkeypatch.setenv("BLOCK", "0.01")

    code = await asyncio.to_thread(main, ["forget", "stock", "--yes"])

    assert code == FAILED
    assert "nobody knows whether stock is needed" in capsys.readouterr().err
    assert await bus.query.execute("XINFO", "GROUPS", stream)
    assert await bus.query.execute("EXISTS", keys.key(GROUPS)) == 1
