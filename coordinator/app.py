"""Wires the coordinator of the shop together."""

from __future__ import annotations

from books.audit import SHOP
from coordinator.order_saga import order_saga
from coordinator.settings import CoordinatorSettings
from coordinator.trial import TRIAL
from sagastream.coordinator.service import coordinator_service
from sagastream.service import Context, Service


def create_service(context: Context) -> Service:
    """Return the coordinator of the shop's sagas."""
    sagas = [order_saga(CoordinatorSettings().order_deadline_pace)]
    return coordinator_service(sagas, context, audits=[SHOP], trial=TRIAL)
