"""The log of a consumer in trouble: each cause is said, and said once, however often it is met."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from sagastream.bus import Command
from sagastream.errors import ReplyError
from tests.unit.core.casts import Script, hotel
from tests.unit.core.world import World, in_virtual_time

MINUTES = 10 * 60


@in_virtual_time
async def test_what_a_server_refuses_for_minutes_is_said_once_and_again_after_it_was_well() -> None:
    """A right that was taken away is met again every two seconds, by every service."""
    world = World()
    wire = world.wire()
    consumer = world.consumer(hotel(Script()), wire)

    def refuse(command: Command) -> None:
        if command[0] == "XREADGROUP":
            raise ReplyError("NOPERM", "this user has no permissions to run the 'xreadgroup' command")

    with capture_logs() as logged:
        async with world.running(consumer):
            for _ in range(2):
                await world.until(consumer.is_ready)
                wire.on_way_there = refuse
                await asyncio.sleep(MINUTES)
                wire.heal()
            await world.until(consumer.is_ready)

    said = [line["event"] for line in logged]
    assert said == ["consumer.paused", "consumer.refused", "consumer.resumed"] * 2


@in_virtual_time
async def test_that_the_data_are_gone_is_said_although_the_trouble_began_with_a_lost_connection() -> None:
    """Nobody would find out from the log: it would have ended with a connection that was closed, and is there again."""
    world = World()
    await world.work(world.consumer(hotel(Script())))
    wire = world.wire()
    consumer = world.consumer(hotel(Script()), wire)

    with capture_logs() as logged:
        async with world.running(consumer):
            await world.until(consumer.is_ready)
            wire.refuse_all()
            await world.until(lambda: not consumer.is_ready())
            world.server.call("FLUSHALL")
            wire.heal()
            await asyncio.sleep(MINUTES)

    (refused,) = [line for line in logged if line["event"] == "consumer.refused"]
    assert (refused["log_level"], "is this the right server?" in refused["error"]) == ("error", True)
