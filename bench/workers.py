"""Participants and their coordinator, as they are: the shop's, with a provider and a channel that stay in memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
from sagastream import Consumer, Participant, Saga, Settings, connect
from sagastream.coordinator.tracker import Coordinator
from sagastream.telemetry import Telemetry
from stock_service.handlers import stock

Resources = Mapping[type, object]


@dataclass(frozen=True, slots=True)
class Cast:
    """A saga, who plays it, and what their handlers are given."""

    saga: Saga
    participants: Sequence[Participant]
    given: Callable[[], AbstractAsyncContextManager[Resources]]


class MemoryChannel:
    """A way to customers that keeps which messages it took, and none of their text."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Take a message, once per key."""
        self.taken.add(message.key)
        return Receipt("memory", message.key)


@asynccontextmanager
async def _in_memory() -> AsyncIterator[Resources]:
    async with Provider(MemoryRecord()) as provider:
        yield {Gateway: DirectGateway(provider, timeout=timedelta(seconds=5)), Channel: MemoryChannel()}


@asynccontextmanager
async def unaided() -> AsyncIterator[Resources]:
    """Give handlers nothing."""
    yield {}


def the_shop() -> Cast:
    """Return the shop's own."""
    return Cast(ORDER, (order, stock, payment, notification), _in_memory)


PARTICIPANTS = tuple(participant.name for participant in the_shop().participants)
NAMES = (*PARTICIPANTS, Coordinator.name)


@asynccontextmanager
async def running(names: Sequence[str], url: str, casting: Callable[[], Cast] = the_shop) -> AsyncIterator[None]:
    """Run these workers, each with connections of its own, for as long as the block takes.

    Raises: whatever ends a worker early, when the block is left.
    """
    settings = Settings(redis_url=url)
    stop = asyncio.Event()
    cast = casting()
    participants = {participant.name: participant for participant in cast.participants}
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(cast.given())
        async with asyncio.TaskGroup() as tasks:
            for name in names:
                bus = connect(url, name=f"{name}/1", block=settings.block)
                stack.push_async_callback(bus.close)
                telemetry = Telemetry(name)
                worker: Consumer | Coordinator
                if name in participants:
                    worker = Consumer(
                        participants[name], bus=bus, settings=settings, telemetry=telemetry, resources=resources
                    )
                else:
                    worker = Coordinator([cast.saga], bus=bus, settings=settings, telemetry=telemetry)
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
