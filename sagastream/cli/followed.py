"""One saga as somebody who follows it knows it: its record as read last, and what was heard since. Pure.

Facts commute and repeat without effect, so it does not matter what the record knows already of what was heard.
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
    """A saga that went on.

    The history of the view also has what only a watcher sees; ``new`` are the ids of the notes that are news.
    """

    view: StateView
    new: frozenset[str]


@dataclass
class Followed:
    """What is known of one saga; ``saga`` is None where nobody here knows its table.

    ``heard`` are the ids of events that came by, ``told`` those of notes that are no news any more.
    """

    stored: Stored
    saga: Saga | None
    notes: dict[str, str] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)

    def read(self, stored: Stored, history: Iterable[str]) -> None:
        """Take over the record as it is now."""
        self.stored = stored
        for written in history:
            self.notes[json.loads(written)["id"]] = written

    def hear(self, note: Note, happening: Happening | None = None) -> None:
        """Add what the record may not know yet."""
        self.notes.setdefault(note.id, note.written())
        if happening is not None:
            self.happenings.append(happening)

    def knew_until(self, at_ms: int) -> None:
        """Let everything before an instant be no news."""
        self.told |= {id_ for id_, written in self.notes.items() if json.loads(written)["at"] < at_ms}

    def view(self) -> StateView:
        """Return the saga as everything known about it says it stands."""
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
        """Return the saga with what is new about it, which is then told."""
        new = frozenset(self.notes.keys() - self.told)
        self.told |= new
        return Change(self.view(), new)
