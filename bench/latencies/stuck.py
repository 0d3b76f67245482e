"""Sagas that need a person: confirmed and paid, but their mails could not be sent. Nothing about them is simulated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from structlog.typing import EventDict

from bench.load import lay_ready
from bench.workers import NAMES, running
from coordinator.order_saga import order_saga
from events import NotificationSent, OrderConfirmed
from sagastream import Consumer, Participant, Settings, Transaction, connect
from sagastream.bus import Reply
from sagastream.coordinator.tracker import Coordinator
from sagastream.keys import COORDINATOR, Keys, index
from sagastream.retry import Retry
from sagastream.saga.lifecycle import Status
from sagastream.telemetry import Telemetry

WITHIN_S = 300.0
_PAUSE_S = 0.2
mute = Participant("notification", retry=Retry(attempts=1))


class NoMail(Exception):
    """There is no mail server."""


@mute.on(OrderConfirmed, outside=True)
async def notify(confirmed: OrderConfirmed, tx: Transaction) -> NotificationSent:
    """Fail, as the real handler of this name does when no mail can be sent."""
    raise NoMail(f"the mail about order {confirmed.order_id} cannot be sent")


async def stick(url: str, sagas: int, pace: float) -> None:
    """Let this many orders proceed up to their mail, and give up there.

    Raises: ``TimeoutError`` if they do not.
    """
    await lay_ready(url, sagas, declined=0)
    settings, said = Settings(redis_url=url), structlog.get_config()["processors"]
    structlog.configure(processors=[_without_burials, *said])
    bus = connect(url, name="bench-stuck", block=settings.block)
    stop = asyncio.Event()
    consumer = Consumer(mute, bus=bus, settings=settings, telemetry=Telemetry("notification"))
    coordinator = Coordinator([order_saga(pace)], bus=bus, settings=settings, telemetry=Telemetry(COORDINATOR))
    others = [name for name in NAMES if name not in ("notification", COORDINATOR)]
    try:
        async with running(others, url), asyncio.TaskGroup() as tasks:
            tasks.create_task(consumer.run(stop))
            tasks.create_task(coordinator.run(stop))
            key = Keys(settings.key_prefix, COORDINATOR).key(index("status", Status.NEEDS_ATTENTION, "order"))
            try:
                await _until(lambda: bus.query.execute("ZCARD", key), sagas)
            finally:
                stop.set()
    finally:
        structlog.configure(processors=said)
        await bus.close()


def _without_burials(_: object, __: str, line: EventDict) -> EventDict:
    """Drop the log lines that are expected here, thousands of times."""
    if line["event"] == "event.buried":
        raise structlog.DropEvent
    return line


async def _until(ask: Callable[[], Awaitable[Reply]], wanted: int) -> None:
    until = time.monotonic() + WITHIN_S
    while (found := await ask()) != wanted:
        if time.monotonic() > until:
            raise TimeoutError(f"{found} of {wanted} sagas are stuck after {WITHIN_S:g} s")
        await asyncio.sleep(_PAUSE_S)
