"""The events read for one saga, on their way into its record. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from sagastream.coordinator.meaning import Meaning, storable
from sagastream.coordinator.records import Note, Record
from sagastream.envelope import Envelope, derived_id
from sagastream.intake import Message
from sagastream.keys import COORDINATOR
from sagastream.saga.definition import BEGINNING
from sagastream.saga.progress import Fact, Happening, Kind


@dataclass(slots=True)
class Bundle:
    """What was read for one saga since ``since_s`` (monotonic), all of the table to which ``meaning`` belongs."""

    meaning: Meaning
    first: Envelope
    latest: Envelope
    since_s: float = 0.0
    happenings: list[Happening] = field(default_factory=list)
    notes: list[tuple[Happening, Note]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    @property
    def has_beginning(self) -> bool:
        """Tell whether the beginning of the saga is among what was read."""
        return any(happening.step == BEGINNING and happening.kind is Kind.DONE for happening in self.happenings)

    def add(self, envelope: Envelope, happening: Happening, message: Message) -> None:
        """Add one more event and what it reports."""
        fact = happening.fact
        self.latest = envelope
        note = Note(fact.at_ms, envelope.id, envelope.type, envelope.source, envelope.cause, happening.step,
                    str(happening.kind), fact.reason)  # fmt: skip
        self.happenings.append(happening)
        self.notes.append((happening, note))
        self.messages.append(message)


def poisoned(record: Record, meaning: Meaning, message: Message, why: str, now_ms: int) -> Bundle:
    """Return the bundle that marks a saga, one event of which cannot be understood."""
    progress = record.progress
    fact = Fact(now_ms, derived_id(message.name, "poison"), storable(why[:200]))
    envelope = Envelope(
        id=fact.event_id, source=COORDINATOR, type="EventPoisoned", subject=progress.saga_id, saga_id=progress.saga_id,
        cause="", initiator=progress.initiator, definition=progress.definition,
        definition_version=str(progress.version), data="{}",
    )  # fmt: skip
    happening = Happening(BEGINNING, Kind.POISONED, fact)
    note = Note(now_ms, fact.event_id, envelope.type, COORDINATOR, "", BEGINNING, Kind.POISONED, fact.reason)
    return Bundle(meaning, envelope, envelope, happenings=[happening], notes=[(happening, note)])
