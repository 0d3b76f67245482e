"""What was read, by saga, on its way into the records: while much comes, what only goes on waits for what follows it.

A write of a record costs as much as several events. In a rush a saga's next event is a moment away, so they are written
together: whatever ends a saga or turns it back goes at once and takes along what waited, all else waits ``PATIENCE`` at
most, and not at all where its table sets a deadline within that time. Where little comes nothing waits. Speaks to no
server: what waits here is read and not acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from operator import attrgetter
from typing import NamedTuple

from sagastream.coordinator.bundle import Bundle
from sagastream.coordinator.meaning import Meanings
from sagastream.envelope import decode
from sagastream.errors import Undecodable, UnknownTable
from sagastream.intake import Message
from sagastream.saga.progress import Kind
from sagastream.telemetry import Telemetry

RUSH = 8  # the part of a batch, an eighth of it, that does not come in one read where events come one by one
PATIENCE = timedelta(milliseconds=250)

_at_ms = attrgetter("at_ms")


class Beside(NamedTuple):
    """Messages that went into no bundle: they say nothing here, name a table nobody here knows, or make no sense."""

    silent: list[Message]
    unknown: list[Message]
    poison: list[tuple[Message, str]]


class Holding:
    """Bundles of one coordinator, the one that has waited longest first; one read brings ``batch`` messages at most."""

    def __init__(self, meanings: Meanings, telemetry: Telemetry, *, batch: int) -> None:
        self._meanings = meanings
        self._telemetry = telemetry
        self._rush = max(2, batch // RUSH)
        self._bundles: dict[str, list[Bundle]] = {}  # of a saga one, unless its events name several tables
        self._due: dict[str, None] = {}
        self._may_wait = True

    def __bool__(self) -> bool:
        """Tell whether anything waits."""
        return bool(self._bundles)

    def forget(self) -> None:
        """Drop what waits: it was not acknowledged and comes again."""
        self._bundles.clear()
        self._due.clear()

    def hasten(self) -> None:
        """Let nothing wait the next time: somebody waits for it."""
        self._may_wait = False

    def is_rush(self, messages: Sequence[Message]) -> bool:
        """Tell whether so many messages in one read mean that the next ones are there already."""
        return len(messages) >= self._rush

    def take_up(self, messages: Sequence[Message], *, now_s: float) -> Beside:
        """Take messages up into the bundles of their sagas; return those that belong into none."""
        beside = Beside([], [], [])
        for message in sorted(messages, key=_at_ms):  # a batch holds one stream after the other
            try:
                is_taken = self._take_up(message, now_s)
            except UnknownTable:
                beside.unknown.append(message)
            except Undecodable as error:
                beside.poison.append((message, str(error)))
            else:
                if not is_taken:
                    beside.silent.append(message)
        # What is beside concerns sagas of which something may wait.
        self._may_wait &= self.is_rush(messages) and not beside.unknown and not beside.poison
        return beside

    def ripe(self, *, now_s: float) -> list[Bundle]:
        """Give out what is to be stored now."""
        if not self._may_wait:
            ripe = [bundle for held in self._bundles.values() for bundle in held]
            self.forget()
            self._may_wait = True
            return ripe
        patience_s = PATIENCE.total_seconds()
        for saga_id, held in self._bundles.items():
            if now_s - held[0].since_s < patience_s:
                break
            self._due[saga_id] = None
        ripe = [bundle for saga_id in self._due for bundle in self._bundles.pop(saga_id)]
        self._due.clear()
        return ripe

    def _take_up(self, message: Message, now_s: float) -> bool:
        envelope = decode(message.flat)
        meaning = self._meanings.of(envelope.definition, envelope.definition_version)
        happening = meaning.of(envelope, message.at_ms)
        if happening is None:
            return False
        saga_id = envelope.saga_id
        held = self._bundles.setdefault(saga_id, [])
        bundle = next((each for each in held if each.meaning is meaning), None)
        if bundle is None:
            bundle = Bundle(meaning, envelope, envelope, now_s)
            held.append(bundle)
        bundle.add(envelope, happening, message)
        if happening.kind is not Kind.DONE or happening.step == meaning.last or meaning.shortest <= PATIENCE:
            self._due[saga_id] = None
        self._telemetry.event_handled(envelope.type)
        return True
