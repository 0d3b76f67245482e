"""The order saga in FastStream on Redis Streams: a consumer group per step, each publishing the message for the next.

All five steps run in one process; as a program it publishes the orders and waits until the last step has seen them all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time

from faststream.redis import RedisBroker, StreamSub
from pydantic import BaseModel

BATCH = 100


class Order(BaseModel):
    """The message passed on."""

    order: str
    step: str = ""


async def main(sagas: int, url: str) -> None:
    """Serve and time."""
    broker = RedisBroker(url, logger=None, log_level=logging.ERROR)
    ended = 0
    all_ended = asyncio.Event()
    wanted = 0

    def stream(name: str) -> StreamSub:
        return StreamSub(name, group=f"{name}-service", consumer="1", max_records=100, polling_interval=100)

    def passing(name: str, to: str) -> None:
        @broker.subscriber(stream=stream(name), max_workers=1)
        @broker.publisher(stream=to)
        async def step(order: Order) -> Order:
            return Order(order=order.order, step=name)

    for name, to in (("create", "reserve"), ("reserve", "charge"), ("charge", "confirm"), ("confirm", "notify")):
        passing(name, to)

    @broker.subscriber(stream=stream("notify"))
    async def notify(order: Order) -> None:
        nonlocal ended
        ended += 1
        if ended >= wanted:
            all_ended.set()

    async def send(count: int) -> None:
        nonlocal wanted
        all_ended.clear()
        wanted = ended + count
        for at in range(0, count, BATCH):
            async with broker._connection.pipeline(transaction=False) as pipe:
                for number in range(at, min(at + BATCH, count)):
                    await broker.publish(Order(order=f"order-{number}"), stream="create", pipeline=pipe)
                await pipe.execute()
        await all_ended.wait()

    async with broker:
        await broker.start()
        await send(20)
        began = time.perf_counter()
        await send(sagas)
        print(json.dumps({"sagas": sagas, "seconds": time.perf_counter() - began}))
        await broker.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
