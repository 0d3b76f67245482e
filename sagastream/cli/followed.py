"""One saga as a follower knows it: its record as last read, and the events received since. Pure.

Facts commute and are idempotent, so it does not matter which received events the record already contains.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sagastream.coordinator import views
from sagastream.coordinator.listing import Stored
from sagastream.coordinator.records import Note
from sagastream.coordinator.views import StateView
from sagastream.saga import lifecycle
from sagastream.saga.advance import advance
from sagastream.saga.definition import Saga
from sagastream.saga.progress import Happening


@dataclass(frozen=True, slots=True)
class Change:
    """A saga that has changed.

    The history of the view also has notes known only to a follower; ``new`` are the ids of its unreported notes.
    """

    view: StateView
    new: frozenset[str]


@dataclass
class Followed:
    """Everything known of one saga; ``saga`` is None if its table is unknown here.

    ``heard`` are the ids of received events, ``told`` those of reported notes.
    """

    stored: Stored
    saga: Saga | None
    notes: dict[str, str] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)

    def read(self, stored: Stored, history: Iterable[str]) -> None:
        """Take over the current record."""
        self.stored = stored
        for written in history:
            self.notes[json.loads(written)["id"]] = written

    def hear(self, note: Note, happening: Happening | None = None) -> None:
        """Add an event or note that the record may not contain yet."""
        self.notes.setdefault(note.id, note.written())
        if happening is not None:
            self.happenings.append(happening)

    def knew_until(self, at_ms: int) -> None:
        """Treat all notes before an instant as reported."""
        self.told |= {id_ for id_, written in self.notes.items() if json.loads(written)["at"] < at_ms}

    def view(self) -> StateView:
        """Return the saga's state from everything known about it."""
        stored, saga = self.stored, self.saga
        if saga is None:
            return views.state(stored, None, self.notes.values())
        progress = stored.record.progress
        for happening in self.happenings:
            progress = advance(saga, progress, (happening,), now_ms=happening.fact.at_ms).progress
        status = lifecycle.status(saga, progress)
        ended_ms = (stored.ended_ms or progress.last_ms) if status.is_end else None
        record = replace(stored.record, progress=progress, status=status)
        return views.state(Stored(record, ended_ms), saga, self.notes.values())

    def change(self) -> Change:
        """Return the saga with its new notes, which then count as reported."""
        new = frozenset(self.notes.keys() - self.told)
        self.told |= new
        return Change(self.view(), new)
