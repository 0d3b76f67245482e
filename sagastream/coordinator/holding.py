"""Holds events that were read, by saga, until they are stored; in a rush an event waits for the next of its saga.

Writing a record costs as much as several events. In a rush a saga's next event is a moment away, so events are written
together: one that ends a saga or starts compensation is stored at once, with all that waited; any other waits
``PATIENCE`` at most, and not at all if its table sets a deadline within that time. Without a rush nothing waits. Speaks
to no server: waiting messages are read but not acknowledged.
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

RUSH = 8  # a read of an eighth of a batch is a rush; events that come one by one never fill that much
PATIENCE = timedelta(milliseconds=250)

_at_ms = attrgetter("at_ms")


class Beside(NamedTuple):
    """Messages that went into no bundle: of no meaning to the coordinator, of an unknown table, or undecodable."""

    silent: list[Message]
    unknown: list[Message]
    poison: list[tuple[Message, str]]


class Holding:
    """Bundles of one coordinator, the longest waiting first; one read brings at most ``batch`` messages."""

    def __init__(self, meanings: Meanings, telemetry: Telemetry, *, batch: int) -> None:
        self._meanings = meanings
        self._telemetry = telemetry
        self._rush = max(2, batch // RUSH)
        self._bundles: dict[str, list[Bundle]] = {}  # one per saga, unless its events name several tables
        self._due: dict[str, None] = {}
        self._may_wait = True

    def __bool__(self) -> bool:
        """Tell whether anything waits."""
        return bool(self._bundles)

    def forget(self) -> None:
        """Drop what waits: it was not acknowledged, so it is delivered again."""
        self._bundles.clear()
        self._due.clear()

    def hasten(self) -> None:
        """Let nothing wait the next time, because somebody waits for the result."""
        self._may_wait = False

    def is_rush(self, messages: Sequence[Message]) -> bool:
        """Tell whether one read brought so many messages that the next ones are probably there already."""
        return len(messages) >= self._rush

    def take_up(self, messages: Sequence[Message], *, now_s: float) -> Beside:
        """Add messages to the bundles of their sagas; return those that belong to none."""
        beside = Beside([], [], [])
        for message in sorted(messages, key=_at_ms):  # a batch lists one stream after the other
            try:
                is_taken = self._take_up(message, now_s)
            except UnknownTable:
                beside.unknown.append(message)
            except Undecodable as error:
                beside.poison.append((message, str(error)))
            else:
                if not is_taken:
                    beside.silent.append(message)
        # Messages in ``beside`` may concern sagas of which events wait here.
        self._may_wait &= self.is_rush(messages) and not beside.unknown and not beside.poison
        return beside

    def ripe(self, *, now_s: float) -> list[Bundle]:
        """Remove and return the bundles to be stored now."""
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
