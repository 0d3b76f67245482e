"""Folds the events a batch brought for one saga into its record: one turn, and the transaction that stores it.

Reads and writes nothing.
"""

from __future__ import annotations

from sagastream import tracing
from sagastream.clock import ServerClock
from sagastream.coordinator.bundle import Bundle
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import Record, Records, unwritten
from sagastream.errors import Undecodable, UnknownTable
from sagastream.keys import COORDINATOR
from sagastream.saga.advance import advance
from sagastream.saga.definition import Saga
from sagastream.transaction import Transaction


class Folding:
    """Folds bundles for a coordinator that knows these tables."""

    def __init__(self, meanings: Meanings, records: Records, clock: ServerClock) -> None:
        self._meanings = meanings
        self._records = records
        self._clock = clock

    def known(self, bundle: Bundle, record: Record | Undecodable | None) -> tuple[Saga, Record] | Undecodable:
        """Return the record and the table the saga began with, whatever its events say; an error if it is unusable."""
        if record is None:
            return bundle.meaning.saga, unwritten(bundle.first)
        if isinstance(record, Undecodable):
            return record
        try:
            return self._meanings.of(record.progress.definition, str(record.progress.version)).saga, record
        except UnknownTable as error:
            return error

    def folded(self, bundle: Bundle, saga: Saga, record: Record) -> Transaction:
        """Return the transaction that stores what a bundle leads to."""
        if tracing.active is None:
            return self._folded(bundle, saga, record)
        with tracing.about(COORDINATOR, f"advance {saga.name}", bundle.latest, self._clock.now_ms()):
            return self._folded(bundle, saga, record)

    def _folded(self, bundle: Bundle, saga: Saga, record: Record) -> Transaction:
        now_ms = max(self._clock.now_ms(), *(h.fact.at_ms for h in bundle.happenings))
        turn = advance(saga, record.progress, bundle.happenings, now_ms=now_ms)
        told = dict(bundle.notes)
        notes = [told[happening] for happening in turn.news]
        # A happening that added nothing new is in no history, so it cannot be a cause.
        cause = notes[-1].id if notes else record.progress.last_event_id
        return self._records.save(saga, record, turn, notes, cause=cause, now_ms=now_ms)
