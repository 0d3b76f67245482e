"""What a consumer says of the entries it has in hand, as the servers really take it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sagastream.bus import Bus
from sagastream.deliveries import Deliveries
from sagastream.errors import ReplyError
from sagastream.intake import Intake, Message
from sagastream.keys import Keys

AT_ONCE = timedelta(milliseconds=1)


async def reading(bus: Bus, keys: Keys, consumer: str) -> Intake:
    """Return the intake of one consumer; the stream has three entries."""
    stream = keys.key("events:StockReserved")
    await bus.writer.pipeline([("XADD", stream, f"{number}-0", "n", number) for number in (1, 2, 3)])
    intake = Intake(bus, keys, [stream], consumer=consumer)
    await intake.open()
    return intake


async def pending(bus: Bus, intake: Intake) -> list[tuple[str, str, int, int]]:
    """Return id, consumer, idle milliseconds and deliveries of each pending entry."""
    reply = await bus.query.execute("XPENDING", intake.streams[0], intake.group, "-", "+", 10)
    assert isinstance(reply, list)
    return [(str(e[0]), str(e[1]), int(e[2]), int(e[3])) for e in reply]  # type: ignore[arg-type,index]  # as it answers


async def test_what_is_renewed_is_as_fresh_as_new_and_was_delivered_once(bus: Bus, keys: Keys) -> None:
    """Nobody else can claim it for a while, and its deliveries are not counted for that."""
    intake = await reading(bus, keys, "one")
    messages = await intake.new(AT_ONCE)
    await asyncio.sleep(0.2)

    await intake.renew(messages[:2])

    first, second, third = await pending(bus, intake)
    assert min(third[2] - first[2], third[2] - second[2]) >= 150  # however long it took to ask
    assert [entry[3] for entry in (first, second, third)] == [1, 1, 1]


async def test_how_often_each_was_given_out_is_known(bus: Bus, keys: Keys) -> None:
    """Anew with every start of its reader, and not by being asked for; nothing is pending of what is settled."""
    intake = await reading(bus, keys, "one")
    first, second, third = await intake.new(AT_ONCE)
    await intake.own()
    await intake.acknowledge([first])
    await intake.again(third.name)

    names = [first.name, second.name, third.name, f"{keys.key('events:Nothing')}|1-0"]
    deliveries = Deliveries(bus, intake)
    assert await deliveries.counts(names) == dict(zip(names, (0, 2, 3, 0), strict=True))
    await deliveries.take_back(names)
    assert await deliveries.counts(names) == dict(zip(names, (0, 1, 2, 0), strict=True))
    assert [entry[:2] for entry in await pending(bus, intake)] == [("2-0", "one"), ("3-0", "one")]


async def test_what_was_acknowledged_meanwhile_is_not_taken_back(bus: Bus, keys: Keys) -> None:
    """Nor is what was removed from the stream: it is pending nowhere any more."""
    intake = await reading(bus, keys, "one")
    messages = await intake.new(AT_ONCE)
    await intake.acknowledge(messages[:1])
    await bus.writer.execute("XDEL", intake.streams[0], messages[1].id)

    await intake.renew(messages)

    assert [entry[:2] for entry in await pending(bus, intake)] == [("3-0", "one")]


async def test_what_another_consumer_has_claimed_is_taken_back(bus: Bus, keys: Keys) -> None:
    """Both have it in hand then; whoever acknowledges it, it is acknowledged."""
    one, two = await reading(bus, keys, "one"), Intake(bus, keys, [keys.key("events:StockReserved")], consumer="two")
    messages = await one.new(AT_ONCE)
    await asyncio.sleep(0.01)
    claimed: list[Message] = await two.claimed(AT_ONCE)
    assert [message.id for message in claimed] == ["1-0", "2-0", "3-0"]

    await one.renew(messages)
    await two.acknowledge(claimed[:2])

    assert [entry[:2] for entry in await pending(bus, one)] == [("3-0", "one")]


async def test_to_renew_without_the_group_is_refused(bus: Bus, keys: Keys) -> None:
    """It is not passed over that nothing could be said."""
    intake = await reading(bus, keys, "one")
    messages = await intake.new(AT_ONCE)
    await bus.writer.execute("XGROUP", "DESTROY", intake.streams[0], intake.group)

    with pytest.raises(ReplyError, match="NOGROUP"):
        await intake.renew(messages)
