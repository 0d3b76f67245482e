"""The participant that reports the ends of sagas to a webhook; it performs no step of any saga.

So it has a consumer group of its own, attempts counted in Redis, and dead letters that can be replayed. Its ledger
records the ends it has reported, so that a repeated event is not reported again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, TypeAlias

from sagastream.answers import Answer, Moment, moment
from sagastream.bus import Bus
from sagastream.consumer import Consumer
from sagastream.coordinator.listing import Listing
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import Records
from sagastream.coordinator.views import SagaView, glance
from sagastream.envelope import derived_id
from sagastream.errors import DefinitionError
from sagastream.event import SagaAborted, SagaCompensationCompleted, SagaCompleted, SagaFailed
from sagastream.keys import COORDINATOR, WEBHOOKS, Keys
from sagastream.participant import Participant
from sagastream.retry import Retry
from sagastream.saga.definition import Saga
from sagastream.settings import Settings
from sagastream.telemetry import Telemetry
from sagastream.tracing import calling
from sagastream.transaction import Transaction
from sagastream.webhooks.sending import NotDelivered, Sender

FIRST_WAIT = timedelta(seconds=5)
Type: TypeAlias = Literal["saga.completed", "saga.failed", "saga.compensated", "saga.aborted"]
TYPES: tuple[Type, ...] = ("saga.completed", "saga.failed", "saga.compensated", "saga.aborted")


class WebhookView(Answer):
    """The body of a webhook. ``data`` is the saga as ``GET /api/v1/sagas`` shows it at the instant of the attempt."""

    type: Type
    timestamp: Moment
    data: SagaView


class Teller:
    """Reports how one saga ended."""

    def __init__(self, sagas: Sequence[Saga], *, bus: Bus, prefix: str, sender: Sender, telemetry: Telemetry) -> None:
        self._listing = Listing(Records(bus, Keys(prefix, COORDINATOR)))
        self._table = Meanings(sagas).table
        self._sender = sender
        self._telemetry = telemetry
        telemetry.expect_webhooks(TYPES)

    async def tell(self, saga_id: str, type: Type) -> None:
        """Report it once; the same saga and type always get the same id.

        Raises: ``NotDelivered``.
        """
        stored = await self._listing.find(saga_id)
        if stored is None:
            raise NotDelivered("the saga is not kept any more")
        view = glance(stored, self._table(stored.record.progress))
        at = moment(stored.ended_ms) or view.started_at  # its end, even if a ledger has contradicted it since
        if at is None:
            raise NotDelivered("the saga has neither an end nor a beginning")
        body = WebhookView(type=type, timestamp=at, data=view).model_dump_json(by_alias=True).encode()
        try:
            with calling(WEBHOOKS, f"send {type}"):
                await self._sender.send(derived_id(saga_id, WEBHOOKS, type), body)
        except NotDelivered:
            self._telemetry.webhook_failed(type)
            raise
        self._telemetry.webhook_sent(type)


def participant(retry: Retry) -> Participant:
    """Return the participant; in a store that is new to it, it reports only sagas that end from now on."""
    webhooks = Participant(WEBHOOKS, begins_at="$", retry=retry)

    @webhooks.on(SagaCompleted, outside=True)
    async def tell_completed(completed: SagaCompleted, tx: Transaction, teller: Teller) -> None:
        await teller.tell(tx.saga_id, "saga.completed")

    @webhooks.on(SagaFailed, outside=True)
    async def tell_failed(failed: SagaFailed, tx: Transaction, teller: Teller) -> None:
        await teller.tell(tx.saga_id, "saga.failed")

    @webhooks.on(SagaCompensationCompleted, outside=True)
    async def tell_compensated(compensated: SagaCompensationCompleted, tx: Transaction, teller: Teller) -> None:
        await teller.tell(tx.saga_id, "saga.compensated")

    @webhooks.on(SagaAborted, outside=True)
    async def tell_aborted(aborted: SagaAborted, tx: Transaction, teller: Teller) -> None:
        await teller.tell(tx.saga_id, "saga.aborted")

    return webhooks


class Webhooks:
    """The participant's worker, with its connection to the receiver. Implements ``sagastream.service.Worker``.

    Raises (when built): ``DefinitionError`` if a table has a participant of the same name.
    """

    name = WEBHOOKS

    def __init__(
        self,
        sagas: Sequence[Saga],
        *,
        bus: Bus,
        settings: Settings,
        telemetry: Telemetry,
        sender: Sender | None = None,
    ) -> None:
        if any(WEBHOOKS in saga.participants for saga in sagas):
            raise DefinitionError(f"no participant of a saga can be called {WEBHOOKS!r}: it is who tells outsiders")
        self._sender = sender or Sender(settings)
        retry = Retry(settings.webhook_attempts, first=FIRST_WAIT, cap=settings.webhook_longest_wait)
        teller = Teller(sagas, bus=bus, prefix=settings.key_prefix, sender=self._sender, telemetry=telemetry)
        self._consumer = Consumer(
            participant(retry), bus=bus, settings=settings, telemetry=telemetry, resources={Teller: teller}
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Report ends until ``stop`` is set."""
        async with self._sender:
            await self._consumer.run(stop)

    def is_ready(self) -> bool:
        """Tell whether events are being read."""
        return self._consumer.is_ready()

    def describe(self) -> Mapping[str, str | int | float | bool | None]:
        """Return the worker's state for operators."""
        return self._consumer.describe()


def webhooks(sagas: Sequence[Saga], *, bus: Bus, settings: Settings, telemetry: Telemetry) -> list[Webhooks]:
    """Return the worker that reports the ends of these tables' sagas; none if no receiver is set."""
    if settings.webhook_url is None:
        return []
    return [Webhooks(sagas, bus=bus, settings=settings, telemetry=telemetry)]
