"""A group that is gone for good is forgotten wholly, and one that is not is left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sagastream import Bus, connect
from sagastream.cli import main
from sagastream.cli.exits import FAILED, NOT_CONFIRMED
from sagastream.envelope import derived_id
from sagastream.forgetting import CannotForget, forget
from sagastream.keys import ATTEMPTS, GROUPS, LETTERS, RETRIES, STREAMS, WEBHOOKS, Keys

PUBLISHERS = ("saga", "hotel")


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


async def fall_silent(bus: Bus, keys: Keys) -> None:
    """Let the consumer have asked for nothing for a while."""
    stream = keys.of("saga").events("SagaFailed")
    await bus.writer.execute("XGROUP", "DELCONSUMER", stream, WEBHOOKS, "webhooks-1")


async def test_nothing_is_kept_for_a_group_that_is_forgotten(bus: Bus, keys: Keys) -> None:
    """Its publisher waits for it no longer; its letters stay, for nobody has dealt with them."""
    await fall_silent(bus, keys)
    stream = keys.of("saga").events("SagaFailed")

    assert await forget(bus, keys, PUBLISHERS) == [stream]

    assert await bus.query.execute("XINFO", "GROUPS", stream) == []
    noted = await bus.query.execute("HGETALL", keys.of("saga").key(STREAMS))
    assert noted == ["events:SagaFailed", "books", "events:SagaStarted", "books"]
    assert await bus.query.execute("EXISTS", keys.key(GROUPS), keys.key(ATTEMPTS), keys.key(RETRIES)) == 0
    assert await bus.query.execute("XLEN", keys.key(LETTERS)) == 1
    with pytest.raises(CannotForget, match="nobody called 'webhooks'"):
        await forget(bus, keys, PUBLISHERS)


async def test_a_group_that_is_at_work_is_left_alone(bus: Bus, keys: Keys) -> None:
    """Its consumer has just asked for messages: it would make itself again, and miss what was in between."""
    with pytest.raises(CannotForget, match=r"at work: webhooks-1 asked for messages 0 s ago"):
        await forget(bus, keys, PUBLISHERS)

    assert await bus.query.execute("EXISTS", keys.key(GROUPS), keys.key(RETRIES)) == 2


async def test_a_forgetting_that_died_half_way_is_finished_by_the_next(bus: Bus, keys: Keys) -> None:
    """The group is gone already, or even the stream; what was noted of it is not."""
    await bus.writer.execute("DEL", keys.of("saga").events("SagaFailed"))

    assert await forget(bus, keys, PUBLISHERS) == [keys.of("saga").events("SagaFailed")]

    assert await bus.query.execute("EXISTS", keys.key(GROUPS)) == 0


def test_the_command_asks_first_and_refuses_who_is_needed(
    server_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", server_url)
    monkeypatch.setenv("KEY_PREFIX", "forgotten:")

    codes = [main(["forget", *words]) for words in (["stock", "--yes"], ["saga", "--yes"], ["webhooks"])]
    unknown = main(["forget", "webhooks", "--yes"])

    assert (codes, unknown) == ([FAILED, FAILED, NOT_CONFIRMED], FAILED)
    said = capsys.readouterr().err
    assert "stock takes part in saga" in said
    assert "nobody called 'webhooks' ever read a stream here" in said
