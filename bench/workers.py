"""The shop's real participants and coordinator, with a provider and a channel in memory."""

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
    """A saga, its participants, and the resources of their handlers."""

    saga: Saga
    participants: Sequence[Participant]
    given: Callable[[], AbstractAsyncContextManager[Resources]]


class MemoryChannel:
    """A channel that keeps the keys of accepted messages, and none of their text."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Accept a message, once per key."""
        self.taken.add(message.key)
        return Receipt("memory", message.key)


@asynccontextmanager
async def _in_memory() -> AsyncIterator[Resources]:
    async with Provider(MemoryRecord()) as provider:
        yield {Gateway: DirectGateway(provider, timeout=timedelta(seconds=5)), Channel: MemoryChannel()}


@asynccontextmanager
async def unaided() -> AsyncIterator[Resources]:
    """Provide no resources to handlers."""
    yield {}


def the_shop() -> Cast:
    """Return the shop's own cast."""
    return Cast(ORDER, (order, stock, payment, notification), _in_memory)


PARTICIPANTS = tuple(participant.name for participant in the_shop().participants)
NAMES = (*PARTICIPANTS, Coordinator.name)


@asynccontextmanager
async def running(names: Sequence[str], url: str, casting: Callable[[], Cast] = the_shop) -> AsyncIterator[None]:
    """Run these workers, each with its own connections, for as long as the block takes.

    Raises: on leaving the block, the error that ended a worker early.
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
    """Exclude long-lived objects from garbage collection, as every served process does once it is up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
