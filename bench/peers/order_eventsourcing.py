"""The order saga in eventsourcing: a system of applications that follow each other, each with a SQLite file of its own.

Every step is an aggregate's event; tracking and new events of one application are one commit.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from uuid import UUID

from eventsourcing.application import ProcessingEvent
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, DomainEvent, event
from eventsourcing.system import MultiThreadedRunner, ProcessApplication, System


class Order(Aggregate):
    """An order that is created and confirmed."""

    @event("Created")
    def __init__(self, number: int) -> None:
        self.number = number
        self.is_confirmed = False

    @event("Confirmed")
    def confirm(self) -> None:
        """Confirm the order."""
        self.is_confirmed = True


class Reservation(Aggregate):
    """Goods held."""

    @event("Reserved")
    def __init__(self, order_id: UUID) -> None:
        self.order_id = order_id


class Payment(Aggregate):
    """Money taken."""

    @event("Charged")
    def __init__(self, order_id: UUID) -> None:
        self.order_id = order_id


class Notice(Aggregate):
    """A message to the customer."""

    @event("Sent")
    def __init__(self, order_id: UUID) -> None:
        self.order_id = order_id


class Orders(ProcessApplication):
    """Creates orders, and confirms those that are paid."""

    def create(self, number: int) -> None:
        """Create an order."""
        self.save(Order(number))

    @singledispatchmethod
    def policy(self, domain_event: DomainEvent, processing_event: ProcessingEvent) -> None:
        """Ignore events that do not concern orders."""

    @policy.register
    def _(self, charged: Payment.Charged, processing_event: ProcessingEvent) -> None:
        order = self.repository.get(charged.order_id)
        order.confirm()
        processing_event.collect_events(order)


class Stock(ProcessApplication):
    """Holds goods for new orders."""

    @singledispatchmethod
    def policy(self, domain_event: DomainEvent, processing_event: ProcessingEvent) -> None:
        """Ignore events that do not concern stock."""

    @policy.register
    def _(self, created: Order.Created, processing_event: ProcessingEvent) -> None:
        processing_event.collect_events(Reservation(created.originator_id))


class Payments(ProcessApplication):
    """Charges for reserved goods."""

    @singledispatchmethod
    def policy(self, domain_event: DomainEvent, processing_event: ProcessingEvent) -> None:
        """Ignore events that do not concern payments."""

    @policy.register
    def _(self, reserved: Reservation.Reserved, processing_event: ProcessingEvent) -> None:
        processing_event.collect_events(Payment(reserved.order_id))


class Notices(ProcessApplication):
    """Notifies customers."""

    @singledispatchmethod
    def policy(self, domain_event: DomainEvent, processing_event: ProcessingEvent) -> None:
        """Ignore events that do not concern notices."""

    @policy.register
    def _(self, confirmed: Order.Confirmed, processing_event: ProcessingEvent) -> None:
        processing_event.collect_events(Notice(confirmed.originator_id))


def main(sagas: int, folder: Path) -> None:
    """Run the system and time it."""
    os.environ["PERSISTENCE_MODULE"] = "eventsourcing.sqlite"
    for name in ("ORDERS", "STOCK", "PAYMENTS", "NOTICES"):
        os.environ[f"{name}_SQLITE_DBNAME"] = str(folder / f"{name.lower()}.db")
    system = System(pipes=[[Orders, Stock, Payments, Orders, Notices]])
    with MultiThreadedRunner(system) as runner:
        orders, notices = runner.get(Orders), runner.get(Notices)

        def run(count: int, before: int) -> None:
            for number in range(count):
                orders.create(number)
            while (notices.recorder.max_notification_id() or 0) < before + count:
                time.sleep(0.005)

        run(20, 0)
        began = time.perf_counter()
        run(sagas, 20)
        print(json.dumps({"sagas": sagas, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
