"""The shop's participants and its coordinator, as they are, with a provider and a channel that stay in memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from coordinator.order_saga import ORDER
from notification_service.channels import Channel, Message, Receipt, Undeliverable
from notification_service.handlers import notification
from order_service.handlers import order
from payment_service.direct_gateway import DirectGateway
from payment_service.gateway import Gateway
from payment_service.handlers import payment
from payment_service.provider import Provider
from payment_service.provider_record import MemoryRecord
from sagastream import Consumer, Participant, Settings, connect
from sagastream.coordinator.tracker import Coordinator
from sagastream.telemetry import Telemetry
from stock_service.handlers import stock

PARTICIPANTS = {each.name: each for each in (order, stock, payment, notification)}
NAMES = (*PARTICIPANTS, Coordinator.name)


class MemoryChannel:
    """A way to customers that keeps which messages it took, and none of their text."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Take a message, once per key."""
        self.taken.add(message.key)
        return Receipt("memory", message.key)


@asynccontextmanager
async def running(names: Sequence[str], url: str) -> AsyncIterator[None]:
    """Run these workers, each with connections of its own, for as long as the block takes.

    Raises: whatever ends a worker early, when the block is left.
    """
    settings = Settings(redis_url=url)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Provider(MemoryRecord()))
        async with asyncio.TaskGroup() as tasks:
            for name in names:
                bus = connect(url, name=f"{name}/1", block=settings.block)
                stack.push_async_callback(bus.close)
                telemetry = Telemetry(name)
                worker: Consumer | Coordinator
                if name in PARTICIPANTS:
                    resources = _resources(PARTICIPANTS[name], provider)
                    worker = Consumer(
                        PARTICIPANTS[name], bus=bus, settings=settings, telemetry=telemetry, resources=resources
                    )
                else:
                    worker = Coordinator([ORDER], bus=bus, settings=settings, telemetry=telemetry)
                tasks.create_task(worker.run(stop))
            try:
                yield
            finally:
                stop.set()


def settle_memory() -> None:
    """Leave what lives to the end out of collections, as every served process does once it is up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _resources(participant: Participant, provider: Provider) -> dict[type, object]:
    if participant is payment:
        return {Gateway: DirectGateway(provider, timeout=timedelta(seconds=5))}
    return {Channel: MemoryChannel()} if participant is notification else {}
